// SPDX-License-Identifier: BSL-1.0
#pragma once

// The kinds of the standard library's exceptions and of our own.

#include <span>

#include <apalis/detail/wire/exception_kind.hpp>

namespace apalis::detail::wire {

std::span<const ExceptionKind> standard_exception_kinds();

}  // namespace apalis::detail::wire
