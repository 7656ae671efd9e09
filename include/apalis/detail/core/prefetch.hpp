// SPDX-License-Identifier: BSL-1.0
#pragma once

// Hints about cache lines that will be used soon.

namespace apalis::detail {

/// Asks for a line to be read soon.
inline void prefetch_to_read(const void* address) noexcept { __builtin_prefetch(address, 0); }

/// Asks for a line to be written soon, taking it from whoever has it.
inline void prefetch_to_write(void* address) noexcept {
#if defined(__x86_64__)
  // __builtin_prefetch(address, 1) means this only where the compiler may assume PREFETCHW; every
  // x86-64 processor at least ignores it.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1);
#endif
}

}  // namespace apalis::detail
