// SPDX-License-Identifier: BSL-1.0
#pragma once

// A clock for what needs no precision.

#include <chrono>

namespace apalis::detail::sys {

/// The steady clock as of the kernel's last tick, 10 ms ago at most: without reading a counter.
[[nodiscard]] std::chrono::steady_clock::time_point recent_time() noexcept;

}  // namespace apalis::detail::sys
