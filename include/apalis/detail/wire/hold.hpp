// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a message only names, and what therefore has to stay as long as the message does.
//
//   buffer.holds().add(block);          // until the Buffer is cleared or destroyed
//   copy.holds().add_all(buffer.holds());

#include <cstddef>
#include <utility>

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
      : first_(std::exchange(other.first_, nullptr)), more_(std::exchange(other.more_, nullptr)) {}
  Holds& operator=(Holds&& other) noexcept {
    if (this != &other) {
      clear();
      first_ = std::exchange(other.first_, nullptr);
      more_ = std::exchange(other.more_, nullptr);
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
    for (std::size_t i = 0; i < count_more(); ++i) use(at(i));
  }

 private:
  struct More;  // kept out of the header: to compile it would cost every user
  void add_another(Hold& hold);
  [[nodiscard]] std::size_t count_more() const noexcept;
  [[nodiscard]] Hold& at(std::size_t index) const noexcept;
  void release_all() noexcept;

  Hold* first_ = nullptr;  // so that one takes no memory
  More* more_ = nullptr;   // null where there is no first; owned
};

}  // namespace apalis::detail::wire
