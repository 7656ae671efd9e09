// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exception types that cross as themselves without being registered.

#include <apalis/detail/wire/remote_exception.hpp>
#include <span>

namespace apalis::detail::wire {

/// Those of the standard library, and our own.
[[nodiscard]] std::span<const ExceptionType> standard_exceptions() noexcept;

}  // namespace apalis::detail::wire
