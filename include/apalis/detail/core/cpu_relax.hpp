// SPDX-License-Identifier: BSL-1.0
#pragma once

// One turn of a spin loop.

namespace apalis::detail {

/// Tells the core that this is a spin loop, so that it neither speculates past the load nor takes
/// the cache line's bandwidth from the one who will write it.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

}  // namespace apalis::detail
