// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a worker's malloc treats memory that was freed. A message of some megabytes would otherwise
// be given new pages each time: at 80 MB that takes two to four times as long as the copying.

#include <cstddef>

namespace apalis::detail::sys {

/// From now on freed memory stays with this process, up to `kept` bytes at the heap's end, instead
/// of going back to the kernel at once. With glibc's malloc; others are left as they are.
void keep_freed_memory(std::size_t kept) noexcept;

/// How far the heap reaches; grows where memory was taken, falls where it was given back.
[[nodiscard]] std::size_t heap_end() noexcept;

/// Gives freed memory back to the kernel.
void give_back_freed_memory() noexcept;

}  // namespace apalis::detail::sys
