// SPDX-License-Identifier: BSL-1.0
// What comes after a call: then().
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::Cancelled;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

/// A result that counts what is done to it.
struct Text {
  Text() = default;
  explicit Text(std::string s) : text(std::move(s)) {}
  Text(const Text& other) : text(other.text), copies(other.copies + 1) {}
  Text(Text&&) = default;
  Text& operator=(const Text&) = default;
  Text& operator=(Text&&) = default;
  ~Text() = default;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
  }

  std::string text;
  int copies = 0;
};

struct Subject {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  int total = 0;

  int add(int x) { return total += x; }
  void grow(int x) { total += x; }
  int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }
  Text text(int n) { return Text{std::string(static_cast<std::size_t>(n), 't')}; }
  std::unique_ptr<int> give(int x) { return std::make_unique<int>(x); }
  int wait() {
    entered->open();
    leave->pass();
    return ++total;
  }
};

}  // namespace

TEST_CASE("then() gives the token of what a function makes of the result", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto sum = h.call(&Subject::add, 5);
  auto twice = sum.then([](const int& x) { return 2 * x; });
  static_assert(std::is_same_v<decltype(twice), Token<int>>);
  CHECK(twice.get() == 10);
  CHECK(sum.get() == 5);
  auto words = h.call(&Subject::add, 1).then([](int x) { return std::to_string(x); });
  static_assert(std::is_same_v<decltype(words), Token<std::string>>);
  CHECK(std::move(words).get() == "6");
}

TEST_CASE("a token that is kept lends its result, one that is given away gives it",
          "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto kept = h.call(&Subject::text, 1000);
  const Text* seen = nullptr;
  auto length = kept.then([&](const Text& t) {
    seen = &t;
    return t.text.size();
  });
  CHECK(length.get() == 1000);
  CHECK(&kept.get() == seen);
  CHECK(kept.get().copies == 0);
  auto given = h.call(&Subject::text, 1000);
  auto moved = std::move(given).then([](Text t) { return t; });
  CHECK_FALSE(given.valid());  // NOLINT(bugprone-use-after-move)
  CHECK(moved.get().text.size() == 1000);
  CHECK(moved.get().copies == 0);
  auto pointer = h.call(&Subject::give, 7).then([](std::unique_ptr<int> p) { return p; });
  CHECK(*std::move(pointer).get() == 7);
}

TEST_CASE("continuations may own what is move-only, and change it", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 5).then([p = std::make_unique<int>(3)](int x) mutable {
    *p += x;
    return std::move(p);
  });
  CHECK(*std::move(t).get() == 8);
}

TEST_CASE("continuations take and give nothing where there is nothing", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  int runs = 0;
  auto nothing = h.call(&Subject::grow, 5);
  auto from_nothing = nothing.then([&] { return ++runs; });
  CHECK(from_nothing.get() == 1);
  auto to_nothing = h.call(&Subject::add, 1).then([&](int x) { runs += x; });
  static_assert(std::is_same_v<decltype(to_nothing), Token<void>>);
  to_nothing.get();
  CHECK(runs == 7);
  h.call(&Subject::grow, 1).then([&] { ++runs; }).get();
  CHECK(runs == 8);
}

TEST_CASE("continuations chain", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 1)
               .then([](int x) { return x + 1; })
               .then([](int x) { return std::to_string(x); })
               .then([](std::string s) { return s + "!"; });
  CHECK(t.get() == "2!");
  auto chain = h.call(&Subject::add, 0);
  for (int i = 0; i < 10'000; ++i) chain = std::move(chain).then([](int x) { return x + 1; });
  CHECK(chain.get() == 10'001);
}

TEST_CASE("a failure skips the function and is what its token throws", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  int runs = 0;
  auto failed = h.call(&Subject::fail, 1);
  auto after = failed.then([&](int) { return ++runs; });
  auto later = after.then([&](int) { ++runs; });
  CHECK_THROWS_AS(later.get(), std::domain_error);
  CHECK_THROWS_WITH(after.get(), "no 1");
  CHECK_THROWS_AS(after.get(), apalis::RemoteError);
  CHECK_THROWS_AS(failed.get(), std::domain_error);
  CHECK(runs == 0);
}

TEST_CASE("what a continuation throws is what its token throws", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto sum = h.call(&Subject::add, 5);
  auto after = sum.then([](int) -> int { throw std::out_of_range("mine"); });
  auto later = after.then([](int x) { return x; });
  CHECK_THROWS_WITH(after.get(), "mine");
  CHECK_THROWS_AS(later.get(), std::out_of_range);
  CHECK(sum.get() == 5);
}

TEST_CASE("a continuation of what is there already runs at once", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto sum = h.call(&Subject::add, 5);
  sum.wait();
  int seen = 0;
  auto after = sum.then([&](int x) { return seen = x; });
  CHECK(seen == 5);
  CHECK(after.ready());
  int moved = 0;
  {
    auto dropped = std::move(sum).then([&](int x) { moved = x; });
  }
  CHECK(moved == 5);
}

TEST_CASE("no continuation runs inside call() or post()", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Subject>(backend, &entered, &leave);
  bool ran = false;
  auto after = h.call(&Subject::wait).then([&](int) { ran = true; });
  entered.pass();
  leave.open();
  // More than any buffer holds: replies must have been taken in meanwhile.
  std::vector<Token<int>> calls;
  for (int i = 0; i < 5000; ++i) {
    calls.push_back(h.call(&Subject::add, 1));
    h.post(&Subject::grow, 1);
  }
  CHECK_FALSE(ran);
  h.drain();
  CHECK(ran);
  CHECK(calls.back().get() == 10'000);
}

TEST_CASE("continuations of one handler run in the order of their calls", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Gate entered;
  Gate leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  // None is there before all are attached: what is ready runs at once.
  if (!runs_beside(backend)) leave.open();
  auto first = h.call(&Waiter::wait);
  std::vector<int> order;
  std::vector<Token<void>> tokens;
  for (int i = 0; i < 100; ++i) {
    auto t = h.call(&Waiter::count);
    tokens.push_back(t.then([&, i](int) { order.push_back(2 * i); }));
    tokens.push_back(t.then([&, i](int) { order.push_back(2 * i + 1); }));
  }
  tokens.clear();
  if (runs_beside(backend)) leave.open();
  h.drain();
  CHECK(order == numbers(0, 200));
}

TEST_CASE("dropping the token of a continuation does not keep it from running", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    auto t = h.call(&Subject::add, 1);
    {
      auto kept = t.then([&](int x) { sum += x; });
    }
    {
      auto given = std::move(t).then([&](int x) { sum += x; });
    }
  }
  h.drain();
  CHECK(sum == 2 * 5050);
}

TEST_CASE("a continuation may be cancelled, and its call goes on", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Subject>(backend, &entered, &leave);
  int runs = 0;
  auto call = h.call(&Subject::wait);
  auto after = call.then([&](int) { return ++runs; });
  auto later = after.then([&](int) { return ++runs; });
  entered.pass();
  CHECK(after.cancel());
  CHECK_FALSE(after.cancel());
  CHECK_THROWS_AS(after.get(), Cancelled);
  leave.open();
  CHECK(call.get() == 1);
  CHECK_THROWS_AS(later.get(), Cancelled);
  CHECK(runs == 0);
}

TEST_CASE("cancelling a call cancels what follows it", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Subject>(backend, &entered, &leave);
  int runs = 0;
  auto first = h.call(&Subject::wait);
  auto queued = h.call(&Subject::add, 1);
  auto after = queued.then([&](int) { return ++runs; });
  entered.pass();
  CHECK(queued.cancel());
  CHECK_THROWS_AS(queued.get(), Cancelled);
  leave.open();
  CHECK_THROWS_AS(after.get(), Cancelled);
  CHECK(first.get() == 1);
  CHECK(runs == 0);
  CHECK(h.get(&Subject::total).get() == 1);
}

TEST_CASE("a continuation of a call is not cancelled once it has run", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto after = h.call(&Subject::add, 1).then([](int x) { return x; });
  after.wait();
  CHECK_FALSE(after.cancel());
  CHECK(after.get() == 1);
}

TEST_CASE("a continuation may wait for calls to the same handler", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 1).then([&](int x) {
    h.post(&Subject::grow, 10);
    return x + h.call(&Subject::add, 100).get();
  });
  CHECK(t.get() == 112);
}

TEST_CASE("a continuation may attach others, to its own token too", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<int> seen;
  std::optional<Token<void>> inner;
  std::optional<Token<void>> follows;
  auto t = h.call(&Subject::add, 1);
  auto after = t.then([&](int x) {
    seen.push_back(x);
    inner = t.then([&](int y) { seen.push_back(10 * y); });
    follows = h.call(&Subject::add, 1).then([&](int y) { seen.push_back(100 * y); });
  });
  after.get();
  inner->get();
  follows->get();
  std::sort(seen.begin(), seen.end());  // a call that has ended by then is followed at once
  CHECK(seen == std::vector{1, 10, 200});
}

TEST_CASE("a continuation may look at its own token", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 5);
  auto after = t.then([&](int x) {
    t.wait();
    return t.ready() && t.get() == x && *t.try_get() == x;
  });
  CHECK(after.get());
}

TEST_CASE("a continuation may drop its own token", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = std::make_unique<Token<Text>>(h.call(&Subject::text, 1000));
  auto after = t->then([&](const Text& text) {
    t.reset();
    return text.text.size();
  });
  CHECK(after.get() == 1000);
}

TEST_CASE("one that runs at once may drop its own token", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = std::make_unique<Token<Text>>(h.call(&Subject::text, 1000));
  t->wait();
  auto after = t->then([&](const Text& text) {
    t.reset();
    return text.text.size();
  });
  CHECK(after.get() == 1000);
  auto given = h.call(&Subject::text, 1000);
  given.wait();
  CHECK(std::move(given).then([](Text text) { return text.text.size(); }).get() == 1000);
}

TEST_CASE("the results of many continuations can be got together", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend, nullptr, nullptr, 100);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 50; ++i) {
    tokens.push_back(h.call(&Subject::add, 1).then([](int x) { return x; }));
    tokens.push_back(k.call(&Subject::add, 1).then([](int x) { return -x; }));
  }
  const auto [ready, pending] = apalis::wait(tokens, {.count = 100, .timeout = 60s});
  CHECK(ready.size() == 100);
  const auto results = apalis::get(tokens);
  CHECK(results[98] == 50);
  CHECK(results[99] == -150);
}

TEST_CASE("what is due runs before a handler is gone", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int sum = 0;
  Token<int> outlives;
  {
    auto h = on<Subject>(backend);
    for (int i = 0; i < 10; ++i) {
      auto dropped = h.call(&Subject::add, 1).then([&](int x) { sum += x; });
    }
    outlives = h.call(&Subject::add, 1).then([&](int x) {
      sum += x;
      return x;
    });
  }
  CHECK(sum == 66);
  CHECK(outlives.get() == 11);
  {
    auto h = on<Subject>(backend);
    auto dropped = h.call(&Subject::add, 1).then([&](int x) { sum += x; });
    h.close();
    CHECK(sum == 67);
  }
}

TEST_CASE("a handler's destruction in unwinding tells continuations, and leaks none",
          "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto alive = std::make_shared<int>(0);
  Token<int> cancelled;
  try {
    auto h = on<Subject>(backend, &entered, &leave);
    auto blocks = h.call(&Subject::wait);
    cancelled = h.call(&Subject::add, 1).then([alive](int x) { return x; });
    {
      auto dropped = h.call(&Subject::add, 1).then([alive](int x) { return x; });
    }
    entered.pass();
    leave.open();
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
  }
  REQUIRE(cancelled.wait_for(60s));
  // Whether the worker had begun it by then is a race of the test's own.
  try {
    (void)cancelled.get();
  } catch (const Cancelled&) {
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a continuation may end its own handler", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = std::make_unique<apalis::Handler<Subject>>(on<Subject>(backend));
  auto after = h->call(&Subject::add, 5).then([&](int x) {
    h.reset();
    return x;
  });
  CHECK(after.get() == 5);
  CHECK(h == nullptr);
}

// --- Of many objects -----------------------------------------------------------------------------

TEST_CASE("a whole batch can be continued", "[continuations][group]") {
  const auto backend = each_backend();
  const auto workers = GENERATE(1U, 3U);
  CAPTURE(backend, workers);
  auto g = cells(backend, workers, 7);
  const auto sum_of = [](const std::vector<int>& xs) {
    int sum = 0;
    for (const int x : xs) sum += x;
    return sum;
  };
  auto all = g.start_map(&Cell::tell);
  auto sum = all.then(sum_of);
  auto again = all.then(sum_of);
  CHECK(sum.get() == 21);
  CHECK(again.get() == 21);
  CHECK(all.get() == numbers(0, 7));
  CHECK(g.start_map(&Cell::tell).then(sum_of).get() == 21);
  std::vector<apalis::Call<Cell, int>> calls{g[6].prepare(&Cell::tell), g[0].prepare(&Cell::tell)};
  CHECK(g.multiple_run(calls).then([](std::vector<int> xs) { return xs.front(); }).get() == 6);
  auto chained = g.multiple_run(calls).then(sum_of).then([](int x) { return x + 1; });
  CHECK(chained.get() == 7);
  bool ran = false;
  g.start_map(&Cell::grow, 1).then([&] { ran = true; }).get();
  CHECK(ran);
}

TEST_CASE("a continued batch that fails skips the function", "[continuations][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  auto all = g.start_map(&Cell::odd, apalis::each(numbers(0, 4)));
  bool ran = false;
  auto after = all.then([&](const std::vector<int>&) { ran = true; });
  CHECK_THROWS_AS(after.get(), apalis::BatchError);
  CHECK_THROWS_AS(all.get(), apalis::BatchError);
  CHECK_FALSE(ran);
}

TEST_CASE("a batch is continued once its last worker has answered", "[continuations][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto g = waiters(backend, 2, 2, entered, leave);
  auto blocks = g[1].call(&Waiter::wait);
  entered.pass();
  auto all = g.start_map(&Waiter::count);
  bool ran = false;
  auto after = all.then([&](const std::vector<int>& xs) {
    ran = true;
    return xs;
  });
  {
    auto dropped = g.start_map(&Waiter::count).then([](std::vector<int>) {});
  }
  CHECK(g[0].call(&Waiter::seen).get() == 2);
  CHECK_FALSE(ran);
  CHECK_FALSE(all.ready());
  CHECK_FALSE(after.wait_for(1ms));
  leave.open();
  CHECK(after.get() == std::vector{1, 2});
  CHECK(all.get() == std::vector{1, 2});
  CHECK(blocks.get() == 1);
}

TEST_CASE("a continued batch may be cancelled, dropped and continued again",
          "[continuations][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto g = waiters(backend, 2, 2, entered, leave);
  auto first = g[0].call(&Waiter::wait);
  auto second = g[1].call(&Waiter::wait);
  entered.pass();
  entered.pass();
  int runs = 0;
  Token<int> after_cancelled, after_dropped, after_again;
  auto cancelled = g.start_map(&Waiter::count);
  after_cancelled = cancelled.then([&](const std::vector<int>&) { return ++runs; });
  CHECK(cancelled.cancel());
  {
    auto dropped = g.start_map(&Waiter::count);
    after_dropped = dropped.then([](const std::vector<int>& xs) { return xs[0]; });
    after_again = dropped.then([](const std::vector<int>& xs) { return xs[1]; });
  }
  leave.open();
  leave.open();
  CHECK_THROWS_AS(after_cancelled.get(), Cancelled);
  CHECK_THROWS_AS(cancelled.get(), Cancelled);
  CHECK(after_dropped.get() == 2);
  CHECK(after_again.get() == 2);
  CHECK(runs == 0);
}

TEST_CASE("continuations may run while other threads use the handler", "[continuations][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  std::atomic<int> runs{0};
  constexpr int rounds = 100;
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 3; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < rounds; ++i) {
          {
            auto dropped = g[t].call(&Cell::tell).then([&](int) { runs.fetch_add(1); });
          }
          auto all = g.start_map(&Cell::tell);
          auto kept = all.then([&](const std::vector<int>& xs) { return runs.fetch_add(xs[1]); });
          {
            auto again = all.then([&](const std::vector<int>&) { runs.fetch_add(1); });
          }
          (void)all.get();
          kept.wait();
          g.start_map(&Cell::tell).then([&](std::vector<int> xs) { runs.fetch_add(xs[1]); }).get();
        }
      });
  }
  g.drain();
  CHECK(runs.load() == 3 * 4 * rounds);
}

TEST_CASE("a continuation may wait for a coroutine", "[continuations][coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto adds = [](apalis::Handler<Subject>& k) -> apalis::Coroutine<int> {
    const int once = co_await k.call(&Subject::add, 10);
    co_return once + co_await k.call(&Subject::add, 10);
  };
  auto t = h.call(&Subject::add, 1).then([&](int x) { return x + apalis::sync_wait(adds(h)); });
  CHECK(t.get() == 1 + 11 + 21);
}

TEST_CASE("a group's drain and its end run what is due", "[continuations][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int runs = 0;
  {
    auto g = cells(backend, 3, 6);
    {
      auto dropped = g.start_map(&Cell::tell).then([&](const std::vector<int>&) { ++runs; });
    }
    g.drain();
    CHECK(runs == 1);
    {
      auto dropped = g.start_map(&Cell::tell).then([&](const std::vector<int>&) { ++runs; });
    }
    {
      auto dropped = g[5].call(&Cell::tell).then([&](int) { ++runs; });
    }
  }
  CHECK(runs == 3);
}
