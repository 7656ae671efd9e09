// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/objects.hpp>
#include <array>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"

using apalis::detail::wire::Objects;

namespace {

void break_one(Objects& objects, std::uint32_t index) {
  try {
    throw std::runtime_error("no object " + std::to_string(index));
  } catch (...) {
    objects.broken.note_current(index);
  }
}

}  // namespace

TEST_CASE("objects are found at equal distances", "[objects]") {
  std::array<int, 6> all{0, 1, 2, 3, 4, 5};
  Objects objects;
  objects.first = reinterpret_cast<std::byte*>(all.data() + 1);
  objects.stride = 2 * sizeof(int);
  objects.count = 3;
  CHECK(objects.at(0) == all.data() + 1);
  CHECK(objects.at(2) == all.data() + 5);
}

TEST_CASE("an object that was not made throws why, each time, and the others are found",
          "[objects]") {
  std::array<int, 9> all{};
  Objects objects;
  objects.first = reinterpret_cast<std::byte*>(all.data());
  objects.stride = sizeof(int);
  objects.count = 9;
  CHECK_FALSE(objects.broken.has(2));
  break_one(objects, 2);
  break_one(objects, 7);
  for (int time = 0; time < 2; ++time) {
    CHECK_THROWS_AS(objects.at(2), std::runtime_error);
    CHECK_THROWS_WITH(objects.at(7), "no object 7");
  }
  CHECK(objects.broken.has(2));
  CHECK(objects.broken.has(7));
  for (const std::uint32_t i : {0U, 1U, 3U, 6U, 8U}) {
    CHECK_FALSE(objects.broken.has(i));
    CHECK(objects.at(i) == all.data() + i);
  }
}
