// SPDX-License-Identifier: BSL-1.0
#pragma once

// errno as an exception that says what to do.

#include <apalis/error.hpp>
#include <string_view>

namespace apalis::detail::sys {

/// Throws SystemError "<what>: <text of errno> (<advice>)".
[[noreturn]] void throw_errno(int code, std::string_view what, std::string_view advice = {});

}  // namespace apalis::detail::sys
