// SPDX-License-Identifier: BSL-1.0
// Maps whose workers die: which items that costs, and what becomes of the rest.
#include <signal.h>
#include <unistd.h>

#include <apalis/engine.hpp>
#include <apalis/shared_array.hpp>
#include <atomic>
#include <cstdint>
#include <exception>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"

using apalis::Backend;
using apalis::Engine;
using apalis::MapError;
using apalis::SharedArray;
using apalis::WorkerDied;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// The framework's own handlers came along by fork: they must not report in the child.
void die() { ::kill(::getpid(), SIGKILL); }

int die_at(int x, int deadly) {
  if (x == deadly) die();
  return 2 * x;
}

bool is_death(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied& died) {
    return died.signal() == SIGKILL;
  } catch (...) {
    return false;
  }
}

}  // namespace

TEST_CASE("items whose worker died are named", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  const auto size = GENERATE(1, 10);
  try {
    (void)engine.map(die_at, numbers(100), 55, apalis::batch_size(size));
    FAIL("nothing was thrown");
  } catch (const MapError& error) {
    // Those whose results were lost; the worker had begun none behind the one that killed it.
    CHECK(error.index() == (size == 1 ? 55 : 50));
    CHECK(error.last_index() == 55);
    CHECK(is_death(error.cause()));
    CHECK_THAT(error.what(), ContainsSubstring(size == 1 ? "item 55" : "items 50 to 55"));
  }
  CHECK(engine.map(die_at, numbers(100), -1)[99] == 198);  // another worker took its place
}

TEST_CASE("an item that no worker survives costs its retries, and nothing else", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 3}};
  const auto size = GENERATE(1, 16, 1000);
  CAPTURE(size);
  const auto outcomes = engine.map(die_at, numbers(300), 123, apalis::batch_size(size),
                                   apalis::retries(1), apalis::collect);
  REQUIRE(outcomes.size() == 300);
  for (int i = 0; i < 300; ++i) {
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    REQUIRE(outcome.has_value() == (i != 123));
    if (i != 123) REQUIRE(outcome.value() == 2 * i);
  }
  CHECK(is_death(outcomes[123].error()));
  CHECK_THROWS_WITH(
      engine.map(die_at, numbers(300), 123, apalis::batch_size(size), apalis::retries(1)),
      ContainsSubstring("item 123 of the map failed"));
}

TEST_CASE("an item that kills once is run again elsewhere", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  SharedArray<int> tries(200);
  const auto f = [](int x, SharedArray<int> tried) {
    const auto i = static_cast<std::size_t>(x);
    if (std::atomic_ref(tried.data()[i]).fetch_add(1) == 0 && x % 50 == 7) die();
    return x;
  };
  CHECK(engine.map(f, numbers(200), tries, apalis::retries(3), apalis::batch_size(5)) ==
        numbers(200));
  CHECK(tries[7] == 2);
  CHECK(tries[199] == 1);
}

TEST_CASE("what a dead worker had not begun is run by others", "[engine]") {
  // Each worker is ended between its batches, from outside.
  const Engine engine{Backend::processes, {.max_workers = 2}};
  (void)engine.map(die_at, numbers(1000), -1, apalis::batch_size(1));
  for (int round = 0; round < 20; ++round) {
    for (const pid_t pid : engine.pids()) ::kill(pid, SIGKILL);
    const auto results = engine.map(die_at, numbers(100), -1, apalis::retries(2));
    REQUIRE(results.size() == 100);
    REQUIRE(results[99] == 198);
  }
}

TEST_CASE("maps go on while workers are killed at random", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 3}};
  SharedArray<std::uint64_t> budget(1);
  budget[0] = 25;  // deaths
  const auto f = [](int x, SharedArray<std::uint64_t> left, std::uint64_t seed) {
    if (seed % 97 == 0) {
      auto count = std::atomic_ref(left.data()[0]);
      auto now = count.load();
      while (now > 0 && !count.compare_exchange_weak(now, now - 1)) {
      }
      if (now > 0) die();
    }
    return std::to_string(x);
  };
  const auto results = engine.map(f, numbers(5000), budget, apalis::seeds(5), apalis::retries(100));
  REQUIRE(results.size() == 5000);
  for (int i = 0; i < 5000; ++i) REQUIRE(results[static_cast<std::size_t>(i)] == std::to_string(i));
  CHECK(budget[0] == 0);
}

TEST_CASE("an imap gives what comes before a death", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  int last = -1;
  const auto read = [&] {
    for (const int x : engine.imap(die_at, numbers(100), 40, apalis::batch_size(10))) last = x / 2;
  };
  CHECK_THROWS_AS(read(), MapError);
  CHECK(last == 39);
}

TEST_CASE("a map that is carried survives deaths as well", "[engine]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  SharedArray<int> tries(100);
  const auto f = [&tries](int x) {
    const auto i = static_cast<std::size_t>(x);
    if (std::atomic_ref(tries.data()[i]).fetch_add(1) == 0 && x % 40 == 3) die();
    return x;
  };
  CHECK(engine.map(f, numbers(100), apalis::retries(5)) == numbers(100));
}

TEST_CASE("the worker of a start hook that dies is an error, not a hang", "[engine]") {
  Engine engine{Backend::processes, {.max_workers = 2}};
  engine.on_worker_start([] { die(); });
  CHECK_THROWS_AS(engine.map(die_at, numbers(10), -1), apalis::Error);
  CHECK_THROWS_AS(engine.map(die_at, numbers(10), -1, apalis::retries(2)), apalis::Error);
}
