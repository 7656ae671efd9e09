// SPDX-License-Identifier: BSL-1.0
#pragma once

// What decoding may come to besides a value.

#include <exception>

namespace apalis::fuzz {

/// Reads all that an exception says; what a worker threw may be of any type.
void examine(const std::exception_ptr& error);

/// Calls `decode`, and ends the program unless that returns or throws what users are told of.
template <class Decode>
void expect_value_or_error(Decode&& decode);

/// Inside a catch block: ends the program unless it is an Error or bad_alloc.
void require_known_error();

template <class Decode>
void expect_value_or_error(Decode&& decode) {
  try {
    decode();
  } catch (...) {
    require_known_error();
  }
}

/// Registers exceptions as a program would. Once.
void register_exceptions();

}  // namespace apalis::fuzz
