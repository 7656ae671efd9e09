// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several objects in one place, each called by its index there.

#include <cstddef>
#include <cstdint>

namespace apalis::detail::wire {

/// Which of the objects could not be made, and why; empty, it takes no memory.
class Broken {
 public:
  Broken() noexcept = default;
  Broken(const Broken&) = delete;
  Broken& operator=(const Broken&) = delete;
  ~Broken() {
    if (some_) [[unlikely]]
      clear();
  }

  /// The exception in flight is why this one was not made; indices ascend.
  void note_current(std::uint32_t index);
  [[nodiscard]] bool has(std::uint32_t index) const noexcept { return some_ && find(index); }
  /// Throws what making this one threw.
  void check(std::uint32_t index) const {
    if (some_) [[unlikely]]
      rethrow(index);
  }

 private:
  struct List;
  [[nodiscard]] bool find(std::uint32_t index) const noexcept;
  void rethrow(std::uint32_t index) const;
  void clear() noexcept;

  bool some_ = false;
  List* list_ = nullptr;  // owned
};

/// Objects of one type at equal distances. Whose they are, its maker knows.
struct Objects {
  std::byte* first = nullptr;
  std::size_t stride = 0;
  std::uint32_t count = 0;
  Broken broken = {};

  /// Throws what making it threw.
  [[nodiscard]] void* at(std::uint32_t index) const {
    broken.check(index);
    return first + index * stride;
  }
};

/// In place of an index: the Objects themselves, not one of them.
inline constexpr std::uint32_t all_objects = ~std::uint32_t{0};

}  // namespace apalis::detail::wire
