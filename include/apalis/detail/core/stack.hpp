// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where the calling thread's stack is, for code that must not recurse beyond it.
//
//   const StackBounds bounds = this_threads_stack();
//   if (bounds.holds(address_of_a_frame)) …

#include <cstdint>

namespace apalis::detail::core {

struct StackBounds {
  std::uintptr_t low = 0;  // both 0 where nobody knows
  std::uintptr_t high = 0;

  [[nodiscard]] bool holds(std::uintptr_t address) const noexcept {
    return address >= low && address < high;
  }
};

/// Asked for once per thread: a program's first thread has to read a file for it. A fiber is outside
/// of what this says.
[[nodiscard]] const StackBounds& this_threads_stack() noexcept;

}  // namespace apalis::detail::core
