// SPDX-License-Identifier: BSL-1.0
#pragma once

// Opt-in for types that may cross as plain bytes although the library can't see it.
//
//   class Price { … std::int64_t cents_; };   // no aggregate, but no pointers inside either
//   template <> inline constexpr bool apalis::trivially_sendable<Price> = true;

namespace apalis {

/// Specialise it as true for a trivially copyable type that holds nothing which only means
/// something in one process: no pointer, reference or view, no file descriptor.
template <class T>
inline constexpr bool trivially_sendable = false;

}  // namespace apalis
