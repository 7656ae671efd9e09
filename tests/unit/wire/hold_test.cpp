// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/hold.hpp>
#include <array>
#include <cstddef>
#include <utility>

#include "support/catch.hpp"

using namespace apalis::detail::wire;

namespace {

struct Counted final : Hold {
  int count = 0;
  void retain() noexcept override { ++count; }
  void release() noexcept override { --count; }
};

std::size_t size_of(const Holds& holds) {
  std::size_t n = 0;
  holds.for_each([&](Hold&) { ++n; });
  return n;
}

}  // namespace

TEST_CASE("holds keep what they were given until they end", "[hold]") {
  std::array<Counted, 5> things;
  {
    Holds holds;
    CHECK(holds.empty());
    for (auto& thing : things) holds.add(thing);
    CHECK(size_of(holds) == 5);
    for (auto& thing : things) CHECK(thing.count == 1);
    Holds moved = std::move(holds);
    CHECK(size_of(moved) == 5);
    Holds copy;
    copy.add_all(moved);
    for (auto& thing : things) CHECK(thing.count == 2);
    copy = std::move(moved);
    for (auto& thing : things) CHECK(thing.count == 1);
    copy.clear();
    for (auto& thing : things) CHECK(thing.count == 0);
    copy.add(things[0]);
  }
  CHECK(things[0].count == 0);
}

TEST_CASE("what is named over and over is held once", "[hold]") {
  std::array<Counted, 3> things;
  Holds holds;
  for (int i = 0; i < 100; ++i)
    for (auto& thing : things) holds.add(thing);
  CHECK(size_of(holds) == 3);
  for (auto& thing : things) CHECK(thing.count == 1);
}

TEST_CASE("a Buffer holds what it names", "[hold]") {
  Counted thing;
  {
    Buffer buffer;
    buffer.holds().add(thing);
    Buffer moved = std::move(buffer);
    CHECK(thing.count == 1);
    Buffer other;
    other.append_all(moved);
    CHECK(thing.count == 2);
    other = std::move(moved);
    CHECK(thing.count == 1);
    other.truncate(0);
    CHECK(thing.count == 1);
    other.clear();
    CHECK(thing.count == 0);
    other.holds().add(thing);
  }
  CHECK(thing.count == 0);
}
