// SPDX-License-Identifier: BSL-1.0
#include <apalis/cpu_count.hpp>
#include <apalis/error.hpp>
#include <apalis/ranges.hpp>
#include <array>
#include <cstdint>
#include <limits>
#include <list>
#include <string>

#include "support/catch.hpp"

using apalis::ranges;

namespace {

using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

std::string refusal(apalis::detail::Count count, const apalis::RangesOptions& options = {}) {
  try {
    (void)ranges(count, options);
  } catch (const apalis::Error& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("ranges are those of multicore's own tests", "[ranges]") {
  CHECK(ranges(80, {.workers = 4}) == Pairs{{0, 20}, {20, 40}, {40, 60}, {60, 80}});
  CHECK(ranges(80, {.min_range_size = 30, .workers = 4}) == Pairs{{0, 30}, {30, 60}, {60, 80}});
  CHECK(ranges(80, {.min_range_size = 100, .workers = 4}) == Pairs{{0, 80}});
}

TEST_CASE("ranges hold each index once, in order, and are no more than the workers", "[ranges]") {
  for (std::size_t count = 0; count < 70; ++count) {
    for (std::size_t workers = 1; workers < 12; ++workers) {
      for (std::size_t shortest = 0; shortest < 12; ++shortest) {
        const auto all = ranges(count, {.min_range_size = shortest, .workers = workers});
        REQUIRE(all.size() <= workers);
        std::size_t next = 0;
        for (const auto& [first, last] : all) {
          REQUIRE(first == next);
          REQUIRE(last > first);
          REQUIRE((last - first >= shortest || last == count));
          next = last;
        }
        REQUIRE(next == count);
      }
    }
  }
}

TEST_CASE("ranges of nothing are none", "[ranges]") {
  CHECK(ranges(0).empty());
  CHECK(ranges(0, {.min_range_size = 5, .workers = 3}).empty());
  CHECK(ranges(std::vector<int>{}).empty());
}

TEST_CASE("ranges are one a core by default", "[ranges]") {
  const auto cores = static_cast<std::size_t>(apalis::cpu_count());
  CHECK(ranges(1000 * cores).size() == cores);
  CHECK(ranges(1000 * cores, {.workers = std::nullopt}).size() == cores);
}

TEST_CASE("ranges of a container are those of its indices", "[ranges]") {
  const Pairs expected{{0, 2}, {2, 4}, {4, 5}};
  std::vector<std::string> vector(5);
  const std::list<int> list(5);
  const int array[5]{};
  CHECK(ranges(vector, {.workers = 3}) == expected);
  CHECK(ranges(list, {.workers = 3}) == expected);
  CHECK(ranges(array, {.workers = 3}) == expected);
  CHECK(ranges(std::array<char, 5>{}, {.workers = 3}) == expected);
  CHECK(ranges(std::string("12345"), {.workers = 3}) == expected);
}

TEST_CASE("ranges take numbers of any integral type", "[ranges]") {
  const Pairs expected{{0, 3}, {3, 5}};
  const std::int16_t workers = 2;
  CHECK(ranges(5L, {.workers = workers}) == expected);
  CHECK(ranges(5U, {.workers = std::uint8_t{2}}) == expected);
  CHECK(ranges(std::size_t{5}, {.min_range_size = expected.size(), .workers = 2LL}) == expected);
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  CHECK(ranges(most, {.workers = 2}) == Pairs{{0, most / 2 + 1}, {most / 2 + 1, most}});
  CHECK(ranges(most, {.min_range_size = most, .workers = most}) == Pairs{{0, most}});
}

TEST_CASE("ranges refuse what makes no sense, by its name", "[ranges]") {
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(refusal(80, {.workers = 0}), ContainsSubstring("no workers"));
  CHECK_THAT(refusal(80, {.workers = -4}), ContainsSubstring("negative number of workers"));
  CHECK_THAT(refusal(-1), ContainsSubstring("negative size"));
  CHECK_THAT(refusal(std::int64_t{-80}), ContainsSubstring("negative size"));
  CHECK_THAT(refusal(80, {.min_range_size = -30}), ContainsSubstring("negative min_range_size"));
  CHECK_THAT(refusal(0, {.workers = 0}), ContainsSubstring("no workers"));
}
