// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/engine/pace.hpp>
#include <chrono>
#include <cstddef>
#include <vector>

#include "support/catch.hpp"

using apalis::detail::engine::Pace;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

constexpr std::size_t item_bytes = 8;

/// The sizes of all batches of `items` that cost as much each.
std::vector<std::size_t> sizes(Pace pace, std::size_t items, nanoseconds cost) {
  std::vector<std::size_t> all;
  while (items > 0) {
    const auto size = std::min(pace.next(items), items);
    REQUIRE(size > 0);
    all.push_back(size);
    items -= size;
    pace.learn(size, cost * size, item_bytes * size);
  }
  return all;
}

}  // namespace

TEST_CASE("batches of a number differ by one item at most", "[pace]") {
  CHECK(sizes(Pace::of_batches(4, 10), 10, 1us) == std::vector<std::size_t>{3, 3, 2, 2});
  CHECK(sizes(Pace::of_batches(3, 3), 3, 1us) == std::vector<std::size_t>{1, 1, 1});
  CHECK(sizes(Pace::of_batches(1, 7), 7, 1us) == std::vector<std::size_t>{7});
}

TEST_CASE("there are no more batches than items", "[pace]") {
  CHECK(sizes(Pace::of_batches(16, 3), 3, 1us) == std::vector<std::size_t>{1, 1, 1});
}

TEST_CASE("batches of a size have it", "[pace]") {
  CHECK(sizes(Pace::of_size(4), 10, 1us) == std::vector<std::size_t>{4, 4, 2});
}

TEST_CASE("the first batch is one item, and says what they cost", "[pace]") {
  Pace pace{4};
  CHECK(pace.is_probing());
  CHECK(pace.next(1'000'000) == 1);
  CHECK(pace.depth() == 1);
  pace.learn(1, 1us, item_bytes);
  CHECK_FALSE(pace.is_probing());
  CHECK(pace.next(1'000'000) > 1);
}

TEST_CASE("batches grow by steps, until sending one costs little", "[pace]") {
  const auto all = sizes(Pace{2}, 1'000'000, 1us);
  for (std::size_t i = 1; i < all.size(); ++i) CHECK(all[i] <= 8 * all[i - 1]);
  CHECK(*std::max_element(all.begin(), all.end()) >= 1000);
  CHECK(*std::max_element(all.begin(), all.end()) <= 10'000);
}

TEST_CASE("long items go one by one, and no worker has one in reserve", "[pace]") {
  Pace pace{2};
  pace.learn(1, 100ms, item_bytes);
  CHECK(pace.next(1000) == 1);
  CHECK(pace.depth() == 1);
}

TEST_CASE("a worker has enough short batches to go on without its parent", "[pace]") {
  Pace pace{2};
  pace.learn(1000, 1ms, item_bytes * 1000);
  CHECK(pace.depth() >= 2);
}

TEST_CASE("towards the end batches get smaller", "[pace]") {
  const auto all = sizes(Pace{4}, 100'000, 1us);
  REQUIRE(all.size() > 10);
  CHECK(all.back() <= 40);  // less than it takes to wake another worker
  CHECK(all[all.size() - 2] < *std::max_element(all.begin(), all.end()));
}

TEST_CASE("a batch is a message that finds room beside others", "[pace]") {
  Pace pace{2};
  constexpr std::size_t large = 10'000;
  for (int i = 0; i < 10; ++i) {
    const auto size = pace.next(1'000'000);
    CHECK(size * large <= 8 * 56'000);
    pace.learn(size, 100ns * size, large * size);
  }
  CHECK(pace.next(1'000'000) * large <= 56'000);
}

TEST_CASE("no worker is woken for less than that costs", "[pace]") {
  Pace pace{8};
  CHECK(pace.useful_workers(100) == 8);  // nothing is known
  pace.learn(1, 50ns, item_bytes);
  CHECK(pace.useful_workers(2) == 1);
  CHECK(pace.useful_workers(1000) < 8);
  CHECK(pace.useful_workers(1'000'000) == 8);
  CHECK(pace.next(2) == 2);
}

TEST_CASE("what no longer costs what it did is noticed", "[pace]") {
  Pace pace{2};
  for (int i = 0; i < 5; ++i) {
    const auto size = pace.next(std::nullopt);
    pace.learn(size, 1us * size, item_bytes * size);
  }
  const auto before = pace.next(std::nullopt);
  pace.learn(before, 100us * before, item_bytes * before);
  CHECK(pace.next(std::nullopt) < before / 10);
}
