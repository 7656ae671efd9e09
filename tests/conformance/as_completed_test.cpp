// SPDX-License-Identifier: BSL-1.0
// Tokens in the order in which their calls end: as_completed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::as_completed;
using apalis::Handler;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Subject {
  Gate* leave = nullptr;
  int number = 0;

  int tell() const { return number; }
  int echo(int x) const { return x; }
  int pass() {
    leave->pass();
    return number;
  }
  int fail() const { throw std::domain_error("no " + std::to_string(number)); }
};

/// Handlers whose calls end when the test says so.
struct Gated {
  explicit Gated(apalis::Backend backend, std::size_t count) : gates(count) {
    for (std::size_t i = 0; i < count; ++i) {
      gates[i] = std::make_unique<Gate>();
      handlers.push_back(on<Subject>(backend, gates[i].get(), static_cast<int>(i)));
    }
  }
  [[nodiscard]] std::vector<Token<int>> calls() {
    std::vector<Token<int>> tokens;
    for (auto& h : handlers) tokens.push_back(h.call(&Subject::pass));
    return tokens;
  }

  std::vector<std::unique_ptr<Gate>> gates;
  std::vector<Handler<Subject>> handlers;
};

}  // namespace

TEST_CASE("as_completed gives tokens in the order in which their calls end", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gated gated(backend, 4);
  auto tokens = gated.calls();
  const std::vector<std::size_t> order{2, 0, 3, 1};
  std::vector<int> came;
  gated.gates[order[0]]->open();
  for (auto& token : as_completed(tokens)) {
    CHECK(token.ready());
    came.push_back(token.get());
    if (came.size() < 4) gated.gates[order[came.size()]]->open();
  }
  CHECK(came == std::vector{2, 0, 3, 1});
  CHECK(apalis::get(tokens) == numbers(0, 4));
}

TEST_CASE("as_completed goes over an lvalue's own tokens", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 10; ++i) tokens.push_back(h.call(&Subject::echo, i));
  std::set<const Token<int>*> seen;
  for (auto& token : as_completed(tokens)) {
    static_assert(std::is_same_v<decltype(token), Token<int>&>);
    seen.insert(&token);
  }
  CHECK(seen.size() == 10);
  for (const auto& token : tokens) CHECK(seen.contains(&token));
  std::array<Token<int>, 2> pair{h.call(&Subject::echo, 1), h.call(&Subject::echo, 2)};
  int sum = 0;
  for (auto& token : as_completed(std::span(pair))) sum += token.get();
  CHECK(sum == 3);
}

TEST_CASE("as_completed keeps the tokens of a temporary", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto calls = [&] {
    std::deque<Token<int>> tokens;
    for (int i = 0; i < 10; ++i) tokens.push_back(h.call(&Subject::echo, i));
    return tokens;
  };
  std::vector<int> results;
  for (auto& token : as_completed(calls())) results.push_back(std::move(token).get());
  std::ranges::sort(results);
  CHECK(results == numbers(0, 10));
}

TEST_CASE("there is nothing to complete in nothing", "[as_completed]") {
  std::vector<Token<int>> none;
  for (auto& token : as_completed(none)) FAIL("a token from nowhere: " << token.valid());
  for (auto& token : as_completed(std::vector<Token<int>>{})) FAIL(token.valid());
}

TEST_CASE("one may stop early and get the other tokens later", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gated gated(backend, 3);
  auto tokens = gated.calls();
  gated.gates[1]->open();
  for (auto& token : as_completed(tokens)) {
    CHECK(token.get() == 1);
    break;
  }
  CHECK_FALSE(tokens[0].ready());
  {
    auto unused = as_completed(tokens);  // not even begun
  }
  gated.gates[0]->open();
  gated.gates[2]->open();
  CHECK(apalis::get(tokens) == numbers(0, 3));
  std::size_t again = 0;
  for (auto& token : as_completed(tokens)) again += token.valid() ? 1U : 0U;
  CHECK(again == 3);
}

TEST_CASE("tokens may be dropped with what waits for them", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gated gated(backend, 3);
  gated.gates[2]->open();
  for (auto& token : as_completed(gated.calls())) {
    CHECK(token.get() == 2);
    break;
  }
  gated.gates[0]->open();
  gated.gates[1]->open();
  gated.handlers.clear();
}

TEST_CASE("calls that fail are completed as well", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend, nullptr, 7);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Subject::tell));
  tokens.push_back(k.call(&Subject::fail));
  tokens.push_back(k.call(&Subject::tell));
  tokens.push_back(h.call(&Subject::fail));
  std::size_t failed = 0;
  int sum = 0;
  for (auto& token : as_completed(tokens)) {
    try {
      sum += token.get();
    } catch (const std::domain_error&) {
      ++failed;
    }
  }
  CHECK(failed == 2);
  CHECK(sum == 7);
}

TEST_CASE("cancelled calls are completed too", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gated gated(backend, 1);
  std::vector<Token<int>> tokens = gated.calls();
  tokens.push_back(gated.handlers[0].call(&Subject::tell));
  CHECK(tokens[1].cancel());
  std::vector<const Token<int>*> order;
  for (auto& token : as_completed(tokens)) {
    order.push_back(&token);
    if (order.size() == 1) gated.gates[0]->open();
  }
  CHECK(order == std::vector<const Token<int>*>{&tokens[1], &tokens[0]});
  CHECK_THROWS_AS(tokens[1].get(), apalis::Cancelled);
}

TEST_CASE("as_completed takes batches, continuations and void calls", "[as_completed][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::vector<Token<std::vector<int>>> maps;
  for (int i = 0; i < 20; ++i) maps.push_back(g.start_map(&Cell::tell));
  maps.push_back(g.multiple_run(std::vector<apalis::Call<Cell, int>>{}));
  std::size_t count = 0;
  for (auto& token : as_completed(maps)) count += token.get().size();
  CHECK(count == 80);
  std::vector<Token<int>> mixed;
  mixed.push_back(g[0].call(&Cell::tell));
  mixed.push_back(g[1].call(&Cell::tell).then([](int x) { return 10 * x; }));
  mixed.push_back(g.start_map(&Cell::tell).then([](const std::vector<int>& xs) { return xs[3]; }));
  int sum = 0;
  for (auto& token : as_completed(std::move(mixed))) sum += token.get();
  CHECK(sum == 13);
  std::vector<Token<void>> nothing;
  for (auto object : g) nothing.push_back(object.call(&Cell::grow, 1));
  for (auto& token : as_completed(nothing)) token.get();
}

TEST_CASE("twenty thousand tokens are completed, each once", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Handler<Subject>> handlers;
  for (int i = 0; i < 3; ++i) handlers.push_back(on<Subject>(backend));
  constexpr std::size_t many = 20'000;
  std::vector<Token<int>> tokens;
  tokens.reserve(many);
  for (std::size_t i = 0; i < many; ++i)
    tokens.push_back(handlers[i % 3].call(&Subject::echo, static_cast<int>(i)));
  std::vector<int> seen(many);
  for (auto& token : as_completed(tokens)) ++seen[static_cast<std::size_t>(token.get())];
  CHECK(std::ranges::count(seen, 1) == std::ptrdiff_t{many});
}
