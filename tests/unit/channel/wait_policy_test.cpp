// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/channel/wait_policy.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "support/catch.hpp"

using apalis::detail::channel::measure_breath;
using apalis::detail::channel::Occupancy;
using apalis::detail::channel::Patience;
using namespace std::chrono_literals;

TEST_CASE("children that are awake and one parent crowd the cores, or do not", "[wait_policy]") {
  std::atomic<std::int32_t> awake{0};
  const Occupancy occupancy{awake, 2, 1};
  CHECK_FALSE(occupancy.crowded());
  occupancy.wake();
  CHECK_FALSE(occupancy.crowded());
  occupancy.wake();
  CHECK(occupancy.crowded());
  CHECK(awake == 2);
  occupancy.sleep();
  CHECK_FALSE(occupancy.crowded());
}

TEST_CASE("whatever a child makes of the count, it is a hint", "[wait_policy]") {
  for (const std::int32_t count : {-5, 0, 2'000'000'000}) {
    std::atomic<std::int32_t> awake{count};
    const Occupancy occupancy{awake, 4, 1};
    CHECK(occupancy.crowded() == (count > 4));
    Patience patience{occupancy};
    while (patience.pass()) {
    }
    occupancy.breathe(3);
  }
}

TEST_CASE("patience ends, crowded or not", "[wait_policy]") {
  for (const std::int32_t count : {0, 100}) {
    std::atomic<std::int32_t> awake{count};
    Patience patience{Occupancy{awake, 4, 1}};
    const auto start = std::chrono::steady_clock::now();
    int turns = 0;
    while (patience.pass()) ++turns;
    CHECK(turns > 0);
    CHECK(std::chrono::steady_clock::now() - start < 30s);
    CHECK_FALSE(patience.pass());  // and stays ended
  }
}

TEST_CASE("new patience replaces what has ended", "[wait_policy]") {
  std::atomic<std::int32_t> awake{0};
  const Occupancy occupancy{awake, 4, 1};
  Patience patience{occupancy};
  while (patience.pass()) {
  }
  patience = Patience{occupancy};
  CHECK(patience.pass());
}

TEST_CASE("a breath is a few turns of a loop", "[wait_policy]") {
  const int turns = measure_breath();
  CHECK(turns >= 1);
  CHECK(turns <= 100);
}
