// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using Catch::Matchers::ContainsSubstring;

static_assert(std::is_base_of_v<apalis::Error, Malformed>);

TEST_CASE("a reader gives the bytes back in order", "[reader]") {
  Buffer buffer;
  const int number = 42;
  buffer.append(&number, sizeof number);
  buffer.append("tail", 4);
  Reader reader(buffer.bytes());
  CHECK(reader.remaining() == 8);
  int copy = 0;
  reader.read(&copy, sizeof copy);
  CHECK(copy == 42);
  CHECK(reader.position() == 4);
  const auto tail = reader.take(4);
  CHECK(std::memcmp(tail.data(), "tail", 4) == 0);
  CHECK(reader.remaining() == 0);
  CHECK(reader.take(0).empty());
  reader.read(nullptr, 0);
}

TEST_CASE("no read goes beyond the end", "[reader]") {
  Buffer buffer;
  buffer.append("123", 3);
  std::uint64_t into = 0;
  CHECK_THROWS_AS(Reader(buffer.bytes()).read(&into, 4), Malformed);
  CHECK_THROWS_AS((void)Reader(buffer.bytes()).take(4), Malformed);
  CHECK_THROWS_AS((void)Reader(buffer.bytes()).take(std::numeric_limits<std::size_t>::max()),
                  Malformed);
  CHECK_THROWS_AS((void)Reader({}).read_size(), Malformed);
  CHECK_THROWS_WITH((void)Reader(buffer.bytes()).take(4), ContainsSubstring("4 bytes expected"));
}

TEST_CASE("sizes come back", "[reader]") {
  const std::uint64_t n = GENERATE(std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{254},
                                   std::uint64_t{255}, std::uint64_t{256}, std::uint64_t{1} << 40,
                                   std::numeric_limits<std::uint64_t>::max());
  Buffer buffer;
  buffer.append_size(n);
  Reader reader(buffer.bytes());
  CHECK(reader.read_size() == n);
  CHECK(reader.remaining() == 0);

  if (n >= 255) {
    buffer.truncate(8);
    Reader cut(buffer.bytes());
    CHECK_THROWS_AS((void)cut.read_size(), Malformed);
  }
}

TEST_CASE("a count can't announce more than the bytes that are left", "[reader]") {
  const auto read = [](std::uint64_t count, std::size_t bytes, std::size_t bytes_each) {
    Buffer buffer;
    buffer.append_size(count);
    std::memset(buffer.grow(bytes), 0, bytes);
    Reader reader(buffer.bytes());
    return reader.read_count(bytes_each);
  };
  CHECK(read(3, 24, 8) == 3);
  CHECK(read(0, 0, 8) == 0);
  CHECK_THROWS_AS(read(4, 31, 8), Malformed);
  CHECK_THROWS_AS(read(1, 0, 1), Malformed);
  // Their product would wrap around to a small number.
  CHECK_THROWS_AS(read(std::uint64_t{1} << 61, 24, 8), Malformed);
  CHECK_THROWS_AS(read(std::numeric_limits<std::uint64_t>::max(), 100, 2), Malformed);
}

TEST_CASE("nothing is attached where there are no attachments, not even no elements", "[reader]") {
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
    CAPTURE(count);
    std::array<std::byte, 1 + sizeof count> bytes{std::byte{Buffer::attached_mark}};
    std::memcpy(bytes.data() + 1, &count, sizeof count);
    Reader reader{bytes};
    CHECK_THROWS_AS(reader.read_block(sizeof(double)), Malformed);
    Reader again{bytes};
    CHECK_THROWS_AS(decode<std::vector<double>>(again), Malformed);
    Reader once_more{bytes};
    CHECK_THROWS_AS(decode<std::string>(once_more), Malformed);
  }
}

TEST_CASE("align skips what the buffer's align put there", "[reader]") {
  const std::size_t to = GENERATE(1u, 2u, 8u, 64u);
  for (std::size_t before = 0; before < 70; ++before) {
    Buffer buffer;
    std::memset(buffer.grow(before), 1, before);
    buffer.align(to);
    buffer.append("e", 1);
    Reader reader(buffer.bytes());
    (void)reader.take(before);
    reader.align(to);
    REQUIRE(*reader.take(1).data() == std::byte{'e'});
    REQUIRE(reader.remaining() == 0);
  }
  Reader cut(std::span<const std::byte>{});
  CHECK_NOTHROW(cut.align(64));
  const std::byte one{};
  Reader short_of_padding({&one, 1});
  (void)short_of_padding.take(1);
  CHECK_THROWS_AS(short_of_padding.align(64), Malformed);
}
