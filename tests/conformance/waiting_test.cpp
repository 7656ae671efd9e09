// SPDX-License-Identifier: BSL-1.0
// Many tokens at once: apalis::get and apalis::wait.
#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  void reset() { total = 0; }
  std::string text(std::size_t n) const { return std::string(n, 't'); }
  std::unique_ptr<int> give(int x) const { return std::make_unique<int>(x); }
  int fail(int x) { throw std::out_of_range("fail " + std::to_string(x)); }
};

// ready and pending together name each of n tokens once, both in order.
bool is_partition(const apalis::WaitResult& result, std::size_t n) {
  std::vector<std::size_t> all = result.ready;
  all.insert(all.end(), result.pending.begin(), result.pending.end());
  std::sort(all.begin(), all.end());
  if (all.size() != n) return false;
  for (std::size_t i = 0; i < n; ++i)
    if (all[i] != i) return false;
  return std::is_sorted(result.ready.begin(), result.ready.end()) &&
         std::is_sorted(result.pending.begin(), result.pending.end());
}

}  // namespace

TEST_CASE("apalis::get of a vector copies from lvalues", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 10; ++i) tokens.push_back(h.call(&Subject::add, 1));
  const std::vector<int> results = apalis::get(tokens);
  CHECK(results == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(tokens[9].valid());
  CHECK(tokens[9].get() == 10);
  CHECK(apalis::get(tokens) == results);
}

TEST_CASE("apalis::get of a vector moves from rvalues", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<std::unique_ptr<int>>> tokens;
  for (int i = 0; i < 10; ++i) tokens.push_back(h.call(&Subject::give, i));
  const std::vector<std::unique_ptr<int>> results = apalis::get(std::move(tokens));
  REQUIRE(results.size() == 10);
  CHECK(*results[9] == 9);
}

TEST_CASE("apalis::get of no tokens gives no results", "[waiting]") {
  std::vector<Token<int>> none;
  CHECK(apalis::get(none).empty());
}

TEST_CASE("apalis::get of a vector of void waits for all", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend, 5);
  std::vector<Token<void>> tokens;
  for (int i = 0; i < 3; ++i) tokens.push_back(h.call(&Subject::reset));
  static_assert(std::is_void_v<decltype(apalis::get(tokens))>);
  apalis::get(tokens);
  for (auto& t : tokens) CHECK(t.ready());
}

TEST_CASE("apalis::get of a tuple keeps each type, with monostate for void", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto tokens = std::make_tuple(h.call(&Subject::add, 5), h.call(&Subject::reset),
                                h.call(&Subject::text, 3U));
  const auto results = apalis::get(tokens);
  static_assert(std::is_same_v<std::remove_const_t<decltype(results)>,
                               std::tuple<int, std::monostate, std::string>>);
  CHECK(std::get<0>(results) == 5);
  CHECK(std::get<2>(results) == "ttt");
  CHECK(std::get<2>(tokens).get() == "ttt");
  const auto moved = apalis::get(std::move(tokens));
  CHECK(std::get<2>(moved) == "ttt");
}

TEST_CASE("apalis::get of a pack gives a tuple", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto number = h.call(&Subject::add, 5);
  auto nothing = h.call(&Subject::reset);
  const auto [a, b, c] = apalis::get(number, nothing, h.call(&Subject::give, 6));
  static_assert(std::is_same_v<std::remove_const_t<decltype(b)>, std::monostate>);
  CHECK(a == 5);
  CHECK(*c == 6);
  CHECK(number.get() == 5);
}

TEST_CASE("apalis::get spans several handlers", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<apalis::Handler<Subject>> handlers;
  for (int i = 0; i < 4; ++i) handlers.push_back(on<Subject>(backend, i * 100));
  std::vector<Token<int>> tokens;
  for (int round = 0; round < 100; ++round)
    for (auto& h : handlers) tokens.push_back(h.call(&Subject::add, 1));
  const auto results = apalis::get(tokens);
  for (std::size_t i = 0; i < results.size(); ++i)
    CHECK(results[i] == static_cast<int>(i % 4) * 100 + static_cast<int>(i / 4) + 1);
}

TEST_CASE("apalis::get throws the failure of one of its tokens", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Subject::add, 1));
  tokens.push_back(h.call(&Subject::fail, 2));
  tokens.push_back(h.call(&Subject::add, 1));
  CHECK_THROWS_AS(apalis::get(tokens), std::out_of_range);
  CHECK(tokens[0].get() == 1);
  CHECK(tokens[2].get() == 2);
}

TEST_CASE("apalis::wait returns when enough tokens are ready", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto blocked = on<Waiter>(backend, &entered, &leave);
  auto quick = on<Waiter>(backend);
  std::vector<Token<int>> tokens;
  tokens.push_back(blocked.call(&Waiter::wait));
  tokens.push_back(quick.call(&Waiter::count));
  tokens.push_back(blocked.call(&Waiter::count));
  tokens.push_back(quick.call(&Waiter::count));
  entered.pass();
  {
    const auto [ready, pending] = apalis::wait(tokens, {.count = 1, .timeout = 60s});
    REQUIRE_FALSE(ready.empty());
    CHECK(is_partition({ready, pending}, 4));
    for (std::size_t i : ready) CHECK((i == 1 || i == 3));
  }
  {
    const auto [ready, pending] = apalis::wait(tokens, {.count = 2, .timeout = 60s});
    CHECK(ready == std::vector<std::size_t>{1, 3});
    CHECK(pending == std::vector<std::size_t>{0, 2});
  }
  leave.open();
  const auto [ready, pending] = apalis::wait(tokens, {.count = 4, .timeout = 60s});
  CHECK(ready.size() == 4);
  CHECK(pending.empty());
}

TEST_CASE("apalis::wait ends at its timeout", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Waiter::wait));
  tokens.push_back(h.call(&Waiter::count));
  const auto before = std::chrono::steady_clock::now();
  const auto timed_out = apalis::wait(tokens, {.count = 2, .timeout = 20ms});
  CHECK(std::chrono::steady_clock::now() - before >= 20ms);
  CHECK(timed_out.ready.empty());
  CHECK(timed_out.pending == std::vector<std::size_t>{0, 1});
  const auto polled = apalis::wait(tokens, {.count = 1, .timeout = 0ms});
  CHECK(polled.ready.empty());
  leave.open();
  CHECK(apalis::get(tokens) == std::vector<int>{1, 2});
}

TEST_CASE("apalis::wait without a timeout waits for its count", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 20; ++i) tokens.push_back(h.call(&Subject::add, 1));
  const auto some = apalis::wait(tokens, {.count = 20});
  CHECK(some.ready.size() == 20);
  CHECK(some.pending.empty());
}

TEST_CASE("a failed call counts as ready", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Subject::fail, 1));
  const auto result = apalis::wait(tokens, {.count = 1, .timeout = 60s});
  CHECK(result.ready == std::vector<std::size_t>{0});
  CHECK_THROWS_AS(tokens[0].get(), std::out_of_range);
}

TEST_CASE("apalis::wait for more tokens than there are waits for all", "[waiting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Subject::add, 1));
  CHECK(apalis::wait(tokens, {.count = 5, .timeout = 60s}).ready.size() == 1);
  std::vector<Token<int>> none;
  CHECK(apalis::wait(none, {.count = 1, .timeout = 60s}).ready.empty());
}
