// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the first eight bytes of every encoded call point to.

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <cstddef>
#include <string_view>

namespace apalis::detail::wire {

/// How to run one kind of call: a constant in the program's image, which a fork has at the same
/// address. An encoded call is
///
///   const Entry* | the callable's bytes, if it has any | the arguments in order
struct Entry {
  /// Decodes, calls, encodes the result (nothing for void). Lets every exception out. `arguments`
  /// stands behind the Entry's address.
  void (*invoke)(void* object, Reader& arguments, Buffer& result);
  std::string_view name;  ///< for messages: "Counter::add"
  std::size_t alignment;  ///< that the encoded call needs for what it borrows
};

}  // namespace apalis::detail::wire
