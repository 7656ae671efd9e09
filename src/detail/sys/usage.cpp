// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>

#include <apalis/detail/sys/usage.hpp>

namespace apalis::detail::sys {

std::uint64_t peak_memory() noexcept {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  constexpr std::uint64_t kilo = 1024;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * kilo;
}

}  // namespace apalis::detail::sys
