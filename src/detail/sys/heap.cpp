// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/heap.hpp>
#include <cstdint>
#include <limits>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace apalis::detail::sys {

void keep_freed_memory([[maybe_unused]] std::size_t kept) noexcept {
#ifdef __GLIBC__
  constexpr std::size_t most = std::numeric_limits<int>::max();
  ::mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::min(kept, most)));
  ::mallopt(M_MMAP_MAX, 0);  // what has a mapping of its own is unmapped when it is freed
#endif
}

std::size_t heap_end() noexcept { return reinterpret_cast<std::uintptr_t>(::sbrk(0)); }

void give_back_freed_memory() noexcept {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace apalis::detail::sys
