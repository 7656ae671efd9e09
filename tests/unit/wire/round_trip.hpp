// SPDX-License-Identifier: BSL-1.0
#pragma once

// A value through the wire and back.
//
//   CHECK(round_trip(std::vector{1, 2, 3}) == std::vector{1, 2, 3});

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <cstddef>
#include <stdexcept>

namespace apalis::test {

/// Behind `before` bytes of something else; throws if decoding leaves or lacks bytes.
template <class T>
T round_trip(const T& value, std::size_t before = 0) {
  using namespace apalis::detail::wire;
  static_assert(sendable<T>);
  Buffer buffer;
  for (std::size_t i = 0; i < before; ++i) buffer.append("-", 1);
  encode(buffer, value);
  Reader reader(buffer.bytes());
  (void)reader.take(before);
  T copy = decode<T>(reader);
  if (reader.remaining() != 0) throw std::logic_error("decode did not take what encode wrote");
  return copy;
}

/// Bytes that encode writes.
template <class T>
std::size_t encoded_size(const T& value) {
  apalis::detail::wire::Buffer buffer;
  apalis::detail::wire::encode(buffer, value);
  return buffer.size();
}

}  // namespace apalis::test
