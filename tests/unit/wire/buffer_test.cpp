// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/buffer.hpp>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "support/catch.hpp"

using apalis::detail::wire::Buffer;

namespace {

std::string text_of(const Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}
void append(Buffer& buffer, std::string_view text) {
  buffer.append(text.data(), text.size());
}
bool is_aligned(const Buffer& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.data()) % Buffer::alignment == 0;
}
bool is_inside(const Buffer& buffer) {
  const auto* self = reinterpret_cast<const std::byte*>(&buffer);
  return buffer.data() >= self && buffer.data() < self + sizeof buffer;
}

}  // namespace

TEST_CASE("a new buffer is empty and needs no heap", "[buffer]") {
  const Buffer buffer;
  CHECK(buffer.size() == 0);
  CHECK(buffer.capacity() == Buffer::inline_capacity);
  CHECK(buffer.bytes().empty());
  CHECK(is_inside(buffer));
  CHECK(is_aligned(buffer));
}

TEST_CASE("what was appended stays while the buffer grows", "[buffer]") {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    append(buffer, piece);
    expected += piece;
    REQUIRE(is_aligned(buffer));
  }
  CHECK(text_of(buffer) == expected);
  CHECK_FALSE(is_inside(buffer));
  CHECK(buffer.capacity() >= buffer.size());
}

TEST_CASE("the inline room is used to its last byte", "[buffer]") {
  Buffer buffer;
  append(buffer, std::string(Buffer::inline_capacity, 'x'));
  CHECK(is_inside(buffer));
  append(buffer, "y");
  CHECK_FALSE(is_inside(buffer));
  CHECK(text_of(buffer) == std::string(Buffer::inline_capacity, 'x') + "y");
}

TEST_CASE("appending nothing needs no address", "[buffer]") {
  Buffer buffer;
  buffer.append(nullptr, 0);
  CHECK(buffer.size() == 0);
}

TEST_CASE("sizes take one byte up to 253 and nine beyond", "[buffer]") {
  const auto written = [](std::uint64_t n) {
    Buffer buffer;
    buffer.append_size(n);
    return buffer.size();
  };
  CHECK(written(0) == 1);
  CHECK(written(253) == 1);
  CHECK(written(254) == 9);
  CHECK(written(std::numeric_limits<std::uint64_t>::max()) == 9);
}

TEST_CASE("align appends zeros up to the next multiple", "[buffer]") {
  const std::size_t to = GENERATE(1u, 2u, 4u, 8u, 16u, 32u, 64u);
  for (std::size_t before = 0; before <= 130; ++before) {
    Buffer buffer;
    append(buffer, std::string(before, 'x'));
    buffer.align(to);
    REQUIRE(buffer.size() % to == 0);
    REQUIRE(buffer.size() - before < to);
    REQUIRE(text_of(buffer) ==
            std::string(before, 'x') + std::string(buffer.size() - before, '\0'));
  }
}

TEST_CASE("moving takes the bytes along and leaves an empty, usable buffer", "[buffer]") {
  const std::size_t size = GENERATE(0u, 5u, 128u, 1000u);
  const std::string text(size, 'a');
  Buffer source;
  append(source, text);

  SECTION("into a new one") {
    Buffer target(std::move(source));
    CHECK(text_of(target) == text);
  }
  SECTION("over a small one") {
    Buffer target;
    append(target, "old");
    target = std::move(source);
    CHECK(text_of(target) == text);
    append(target, "more");
    CHECK(text_of(target) == text + "more");
  }
  SECTION("over a large one") {
    Buffer target;
    append(target, std::string(500, 'o'));
    target = std::move(source);
    CHECK(text_of(target) == text);
    CHECK(is_inside(target) == (size <= Buffer::inline_capacity));
  }
  CHECK(source.size() == 0);
  CHECK(is_inside(source));
  append(source, "again");
  CHECK(text_of(source) == "again");
}

TEST_CASE("assigning a buffer to itself changes nothing", "[buffer]") {
  Buffer buffer;
  append(buffer, std::string(300, 'z'));
  auto& same = buffer;
  buffer = std::move(same);
  CHECK(text_of(buffer) == std::string(300, 'z'));
}

TEST_CASE("truncate and clear forget bytes but keep the room", "[buffer]") {
  Buffer buffer;
  append(buffer, std::string(300, 'z'));
  const auto capacity = buffer.capacity();
  buffer.truncate(10);
  CHECK(text_of(buffer) == std::string(10, 'z'));
  buffer.clear();
  CHECK(buffer.size() == 0);
  CHECK(buffer.capacity() == capacity);
}

TEST_CASE("reserve makes room once", "[buffer]") {
  Buffer buffer;
  append(buffer, "abc");
  buffer.reserve(100'000);
  CHECK(buffer.capacity() >= 100'000);
  const auto* data = buffer.data();
  append(buffer, std::string(90'000, 'q'));
  CHECK(buffer.data() == data);
  buffer.reserve(10);
  CHECK(buffer.data() == data);
}

TEST_CASE("shrink gives memory back as far as the bytes allow", "[buffer]") {
  Buffer buffer;
  append(buffer, std::string(100'000, 's'));
  buffer.truncate(1000);
  buffer.shrink(500);
  CHECK(buffer.capacity() < 2000);
  CHECK(text_of(buffer) == std::string(1000, 's'));
  CHECK(is_aligned(buffer));
  buffer.truncate(20);
  buffer.shrink(0);
  CHECK(is_inside(buffer));
  CHECK(text_of(buffer) == std::string(20, 's'));
  buffer.shrink(0);  // nothing left to give
  CHECK(is_inside(buffer));
}

TEST_CASE("a size beyond the address space is refused, and what was there stays", "[buffer]") {
  Buffer buffer;
  append(buffer, "abc");
  CHECK_THROWS_AS((void)buffer.grow(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS((void)buffer.grow(std::numeric_limits<std::size_t>::max() / 2), std::bad_alloc);
  CHECK(text_of(buffer) == "abc");
}
