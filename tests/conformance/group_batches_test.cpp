// SPDX-License-Identifier: BSL-1.0
// Prepared calls to many objects, a message a worker: run, multiple_run, collect.
#include <array>
#include <chrono>
#include <list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::BatchError;
using apalis::Call;
using apalis::Error;
using apalis::Outcome;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

TEST_CASE("run gives results in the order of the calls, wherever they ran", "[group]") {
  const auto backend = each_backend();
  const auto workers = GENERATE(1U, 2U, 5U);
  CAPTURE(backend, workers);
  auto g = cells(backend, workers, 10);
  std::vector<Call<Cell, int>> calls;
  for (std::size_t i = 0; i < 1000; ++i) calls.push_back(g[i * 7 % 10].prepare(&Cell::tell));
  static_assert(std::is_same_v<decltype(g.run(calls)), std::vector<int>>);
  const auto results = g.run(calls);
  REQUIRE(results.size() == 1000);
  bool right = true;
  for (std::size_t i = 0; i < 1000; ++i)
    right = right && results[i] == static_cast<int>(i * 7 % 10);
  CHECK(right);
}

TEST_CASE("calls of a batch to one object run in their order", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::vector<Call<Cell, int>> calls;
  for (int round = 0; round < 3; ++round)
    for (auto object : g) calls.push_back(object.prepare(&Cell::add, 1));
  CHECK(g.run(calls) == std::vector{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
}

TEST_CASE("a batch may mix methods of one result type, and leave objects out", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  std::vector<Call<Cell, int>> calls;
  calls.push_back(g[4].prepare(&Cell::add, 10));
  calls.push_back(g[4].prepare(&Cell::subtract, 3));
  calls.push_back(g[1].prepare([](Cell& c, int k) { return c.index * k; }, 5));
  calls.push_back(g[1].prepare<&Cell::tell>());
  CHECK(g.run(calls) == std::vector{10, 7, 5, 1});
  CHECK(g[0].get(&Cell::total).get() == 0);
  calls.resize(1, calls.front());  // one worker has nothing to do
  CHECK(g.run(calls) == std::vector{17});
}

TEST_CASE("any range of calls can be run by a group", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 2);
  const std::array array{g[0].prepare(&Cell::add, 1), g[1].prepare(&Cell::add, 2)};
  CHECK(g.run(array) == std::vector{1, 2});
  CHECK(g.run(std::span(array).first(1)) == std::vector{2});
  std::list<Call<Cell, int>> list{array[1]};
  CHECK(g.run(list) == std::vector{4});
}

TEST_CASE("multiple_run of a group gives one token of all results", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 6);
  std::vector<Call<Cell, std::string>> calls;
  for (std::size_t i = 0; i < 6; ++i) calls.push_back(g[i].prepare(&Cell::repeat, i * 20));
  auto token = g.multiple_run(calls);
  static_assert(std::is_same_v<decltype(token), Token<std::vector<std::string>>>);
  calls.clear();
  const auto& results = token.get();
  REQUIRE(results.size() == 6);
  CHECK(results[5] == std::string(100, 'f'));
  CHECK(&token.get() == &results);
  CHECK(token.ready());
  CHECK(token().size() == 6);
  CHECK(std::move(token).get().size() == 6);
}

TEST_CASE("several batches of a group may be in flight", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 8);
  std::vector<Call<Cell, int>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Cell::add, 1));
  std::vector<Token<std::vector<int>>> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(g.multiple_run(calls));
  const auto [ready, pending] = apalis::wait(tokens, {.count = 100, .timeout = 60s});
  CHECK(ready.size() == 100);
  CHECK(pending.empty());
  for (std::size_t i = tokens.size(); i-- > 0;)
    CHECK(tokens[i].get() == std::vector<int>(8, static_cast<int>(i) + 1));
  CHECK(apalis::get(std::move(tokens)).size() == 100);
}

TEST_CASE("a batch of void calls to a group waits for all of them", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 3);
  std::vector<Call<Cell, void>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Cell::grow, 2));
  static_assert(std::is_void_v<decltype(g.run(calls))>);
  static_assert(std::is_same_v<decltype(g.multiple_run(calls)), Token<void>>);
  g.run(calls);
  g.multiple_run(calls).get();
  CHECK(g.map(&Cell::add, 0) == std::vector{4, 4, 4});
}

TEST_CASE("move-only results come back from a group's batch", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  std::vector<Call<Cell, std::unique_ptr<int>>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Cell::give));
  const auto results = g.run(calls);
  REQUIRE(results.size() == 5);
  CHECK(*results[4] == 4);
  auto outcomes = g.run(calls, apalis::collect);
  REQUIRE(outcomes.size() == 5);
  CHECK(*std::move(outcomes[3]).value() == 3);
}

TEST_CASE("a group's batch may be large in calls and in bytes", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::vector<Call<Cell, std::size_t>> calls;
  for (std::size_t i = 0; i < 20'000; ++i)
    calls.push_back(g[i % 4].prepare(&Cell::length, std::string(i % 100, 'a')));
  for (std::size_t i = 0; i < 8; ++i)
    calls.push_back(g[i % 4].prepare(&Cell::length, std::string(1'000'000 + i, 'b')));
  const auto lengths = g.run(calls);
  REQUIRE(lengths.size() == 20'008);
  bool right = true;
  for (std::size_t i = 0; i < 20'000; ++i) right = right && lengths[i] == i % 100;
  for (std::size_t i = 0; i < 8; ++i) right = right && lengths[20'000 + i] == 1'000'000 + i;
  CHECK(right);
  std::vector<Call<Cell, std::string>> large;
  for (auto object : g) large.push_back(object.prepare(&Cell::repeat, std::size_t{3'000'000}));
  const auto texts = g.run(large);
  REQUIRE(texts.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(texts[i] == std::string(3'000'000, static_cast<char>('a' + i)));
}

TEST_CASE("a failing call leaves the others' results reachable", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 7);
  std::vector<Call<Cell, int>> calls;
  for (int i = 1; i <= 6; ++i)
    calls.push_back(g[static_cast<std::size_t>(i)].prepare(&Cell::odd, i));
  auto token = g.multiple_run(calls);
  for (int again = 0; again < 2; ++again) {
    try {
      (void)token.get();
      FAIL("get() kept quiet");
    } catch (const BatchError& e) {
      CHECK(e.failures() == 3);
      CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("even 2"));
      const auto& outcomes = e.outcomes<int>();
      REQUIRE(outcomes.size() == 6);
      for (int x = 1; x <= 6; ++x) {
        const auto& outcome = outcomes[static_cast<std::size_t>(x - 1)];
        REQUIRE(outcome.has_value() == (x % 2 == 1));
        if (outcome) {
          CHECK(outcome.value() == x);
        } else {
          CHECK_THROWS_AS(outcome.value(), std::domain_error);
          CHECK_THROWS_AS(outcome.value(), apalis::RemoteError);
        }
      }
    }
  }
}

TEST_CASE("collect gives every outcome and throws none", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::vector<Call<Cell, int>> calls;
  for (int i = 0; i < 4; ++i)
    calls.push_back(g[static_cast<std::size_t>(i)].prepare(&Cell::odd, i));
  static_assert(std::is_same_v<decltype(g.run(calls, apalis::collect)), std::vector<Outcome<int>>>);
  const auto outcomes = g.run(calls, apalis::collect);
  REQUIRE(outcomes.size() == 4);
  CHECK_FALSE(outcomes[0]);
  CHECK(outcomes[1].value() == 1);
  CHECK_THROWS_AS(outcomes[2].value(), std::domain_error);
  CHECK(outcomes[3].value() == 3);
  auto token = g.multiple_run(calls, apalis::collect);
  CHECK(token.get()[3].value() == 6);
}

TEST_CASE("void calls that fail say which, in a group too", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::vector<Call<Cell, void>> calls;
  for (int i = 0; i < 4; ++i)
    calls.push_back(g[static_cast<std::size_t>(i)].prepare(&Cell::odd_only, i));
  try {
    g.run(calls);
    FAIL("run() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 2);
    const auto& outcomes = e.outcomes<void>();
    CHECK_FALSE(outcomes[0].has_value());
    CHECK(outcomes[1].has_value());
    CHECK_THROWS_AS(outcomes[2].value(), std::domain_error);
  }
  const auto outcomes = g.run(calls, apalis::collect);
  CHECK(outcomes[3].has_value());
  CHECK_FALSE(outcomes[0].has_value());
}

TEST_CASE("a call for an object that a group does not have is an Error, and nothing is sent",
          "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto large = cells(backend, 2, 10);
  auto small = cells(backend, 2, 4);
  std::vector<Call<Cell, int>> calls{small[0].prepare(&Cell::add, 1),
                                     large[9].prepare(&Cell::add, 1)};
  CHECK_THROWS_AS(small.run(calls), Error);
  CHECK_THROWS_AS(small.multiple_run(calls, apalis::collect), Error);
  CHECK(small[0].get(&Cell::total).get() == 0);
  CHECK(large.run(calls) == std::vector{1, 1});
}

TEST_CASE("calls of handlers and of groups are not interchangeable", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Cell>(backend);
  auto g = cells(backend, 2, 4);
  const std::vector of_handler{h.prepare(&Cell::add, 1)};
  const std::vector of_group{g[0].prepare(&Cell::add, 1)};
  CHECK_THROWS_WITH(g.run(of_handler), Catch::Matchers::ContainsSubstring("Handler"));
  CHECK_THROWS_WITH(h.run(of_group), Catch::Matchers::ContainsSubstring("group"));
  CHECK(h.run(of_handler) == std::vector{1});
  CHECK(g.run(of_group) == std::vector{1});
}

TEST_CASE("a batch that no worker has begun can be cancelled", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto g = waiters(backend, 2, 4, entered, leave);
  auto first = g[0].call(&Waiter::wait);
  auto second = g[1].call(&Waiter::wait);
  auto all = g.start_map(&Waiter::count);
  CHECK_FALSE(all.ready());
  CHECK_FALSE(all.wait_for(1ms));
  CHECK(all.try_get() == nullptr);
  entered.pass();
  entered.pass();
  CHECK(all.cancel());
  leave.open();
  leave.open();
  CHECK(first.get() == 1);
  CHECK(second.get() == 1);
  CHECK_THROWS_AS(all.get(), apalis::Cancelled);
  CHECK_FALSE(all.cancel());
  CHECK(g.map(&Waiter::seen) == std::vector{1, 1, 0, 0});
}

TEST_CASE("a batch that one worker has ended is cancelled in part", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto g = waiters(backend, 2, 2, entered, leave);
  auto blocks = g[0].call(&Waiter::wait);
  entered.pass();
  auto all = g.start_map(&Waiter::count);
  CHECK(g[1].call(&Waiter::seen).get() == 1);  // after its part of the batch
  CHECK_FALSE(all.cancel());
  leave.open();
  CHECK(blocks.get() == 1);
  try {
    (void)all.get();
    FAIL("get() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 1);
    CHECK_THROWS_AS(e.outcomes<int>()[0].value(), apalis::Cancelled);
    CHECK(e.outcomes<int>()[1].value() == 1);
  }
}

TEST_CASE("an empty batch is there at once, and cannot be cancelled", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  auto none = g.multiple_run(std::vector<Call<Cell, int>>{});
  CHECK_FALSE(none.cancel());
  CHECK(none.ready());
  CHECK(none.get().empty());
}
