// SPDX-License-Identifier: BSL-1.0
#include <time.h>

#include <apalis/detail/sys/recent_time.hpp>

namespace apalis::detail::sys {

std::chrono::steady_clock::time_point recent_time() noexcept {
  // The clock behind std::chrono::steady_clock, which has the same origin.
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return std::chrono::steady_clock::time_point(std::chrono::seconds(time.tv_sec) +
                                               std::chrono::nanoseconds(time.tv_nsec));
}

}  // namespace apalis::detail::sys
