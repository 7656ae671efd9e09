// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a message only names, and what therefore has to stay as long as the message does.
//
//   buffer.holds().add(block);          // until the Buffer is cleared or destroyed
//   copy.holds().add_all(buffer.holds());

#include <memory>
#include <utility>
#include <vector>

namespace apalis::detail::wire {

/// Counted by those who refer to it.
/// **Threads:** any.
class Hold {
 public:
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  virtual void retain() noexcept = 0;
  virtual void release() noexcept = 0;

 protected:
  Hold() noexcept = default;
  ~Hold() = default;
};

/// **Owns** a reference to each. **Throws** std::bad_alloc from add().
class Holds {
 public:
  Holds() noexcept = default;
  Holds(Holds&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), more_(std::move(other.more_)) {}
  Holds& operator=(Holds&& other) noexcept {
    if (this != &other) {
      clear();
      first_ = std::exchange(other.first_, nullptr);
      more_ = std::move(other.more_);
    }
    return *this;
  }
  ~Holds() { clear(); }

  void add(Hold& hold) {
    if (first_ == nullptr) {
      first_ = &hold;
      hold.retain();
    } else if (first_ != &hold) {
      add_another(hold);
    }
  }
  void add_all(const Holds& others) {
    others.for_each([this](Hold& hold) { add(hold); });
  }
  void clear() noexcept {
    if (first_ != nullptr) [[unlikely]]
      release_all();
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

  template <class Use>
  void for_each(Use use) const {
    if (first_ == nullptr) return;
    use(*first_);
    if (more_ != nullptr)
      for (Hold* hold : *more_) use(*hold);
  }

 private:
  void add_another(Hold& hold);
  void release_all() noexcept;

  Hold* first_ = nullptr;  // so that one takes no memory
  std::unique_ptr<std::vector<Hold*>> more_;
};

}  // namespace apalis::detail::wire
