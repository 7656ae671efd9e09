// SPDX-License-Identifier: BSL-1.0
#pragma once

// What this process has used so far.

#include <cstdint>

namespace apalis::detail::sys {

/// Bytes of memory that were resident at once, at most; for a fork, what it inherited counts.
[[nodiscard]] std::uint64_t peak_memory() noexcept;

}  // namespace apalis::detail::sys
