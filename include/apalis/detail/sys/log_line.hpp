// SPDX-License-Identifier: BSL-1.0
#pragma once

// The way out for what the library has to say.

#include <apalis/log.hpp>
#include <string_view>

namespace apalis::detail::sys {

/// One line to the program's hook, or to stderr. Not for a caller that holds a lock.
void log(LogLevel level, std::string_view text) noexcept;

}  // namespace apalis::detail::sys
