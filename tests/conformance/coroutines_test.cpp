// SPDX-License-Identifier: BSL-1.0
// Coroutines that await calls: Coroutine, sync_wait, start.
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::Coroutine;
using apalis::Handler;
using apalis::start;
using apalis::sync_wait;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Subject {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  int total = 0;

  int add(int x) { return total += x; }
  void grow(int x) { total += x; }
  int fail() { throw std::domain_error("no"); }
  std::string text(int n) { return std::string(static_cast<std::size_t>(n), 't'); }
  std::unique_ptr<int> give(int x) { return std::make_unique<int>(x); }
  int wait() {
    entered->open();
    leave->pass();
    return ++total;
  }
};

Coroutine<int> add_twice(Handler<Subject>& h, int x) {
  const int once = co_await h.call(&Subject::add, x);
  co_return once + co_await h.call(&Subject::add, x);
}

Coroutine<> grow(Handler<Subject>& h, int x) {
  co_await h.call(&Subject::grow, x);
}

Coroutine<int> fail(Handler<Subject>& h) {
  co_return co_await h.call(&Subject::fail);
}

Coroutine<int> mark(bool& begun) {
  begun = true;
  co_return 1;
}

/// What a coroutine leaves behind when it ends, however it does.
struct Ends {
  int* ended;
  explicit Ends(int& e) : ended(&e) {}
  Ends(const Ends&) = delete;
  ~Ends() { ++*ended; }
};

}  // namespace

TEST_CASE("a coroutine awaits calls and gives a value", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK(sync_wait(add_twice(h, 5)) == 15);
  sync_wait(grow(h, 100));
  CHECK(h.get(&Subject::total).get() == 110);
}

TEST_CASE("a coroutine is lazy", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  bool begun = false;
  {
    auto never = mark(begun);
    CHECK_FALSE(begun);
  }
  CHECK_FALSE(begun);
  auto late = mark(begun);
  auto moved = std::move(late);
  CHECK(sync_wait(std::move(moved)) == 1);
  CHECK(begun);
}

TEST_CASE("what a coroutine throws is what sync_wait throws", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK_THROWS_AS(sync_wait(fail(h)), std::domain_error);
  const auto mine = [](Handler<Subject>& k) -> Coroutine<> {
    co_await k.call(&Subject::add, 1);
    throw std::out_of_range("mine");
  };
  CHECK_THROWS_WITH(sync_wait(mine(h)), "mine");
  const auto catches = [](Handler<Subject>& k) -> Coroutine<std::string> {
    try {
      co_await k.call(&Subject::fail);
    } catch (const std::domain_error& e) {
      co_return e.what();
    }
    co_return "nothing";
  };
  CHECK(sync_wait(catches(h)) == "no");
  CHECK(sync_wait(add_twice(h, 1)) == 5);
}

TEST_CASE("a token that is kept lends a coroutine its result, a temporary gives it",
          "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto awaits = [](Handler<Subject>& k) -> Coroutine<bool> {
    auto kept = k.call(&Subject::text, 1000);
    const std::string& first = co_await kept;
    const std::string& second = co_await kept;
    bool right = &first == &second && &kept.get() == &first && first.size() == 1000;
    auto given = k.call(&Subject::give, 7);
    const std::unique_ptr<int> pointer = co_await std::move(given);
    right = right && *pointer == 7 && !given.valid();
    const auto other = co_await k.call(&Subject::give, 8);
    co_return right&&* other == 8;
  };
  CHECK(sync_wait(awaits(h)));
}

TEST_CASE("a coroutine gives what is move-only", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto gives = [](Handler<Subject>& k) -> Coroutine<std::unique_ptr<int>> {
    auto pointer = co_await k.call(&Subject::give, 7);
    ++*pointer;
    co_return pointer;
  };
  CHECK(*sync_wait(gives(h)) == 8);
  auto token = start(gives(h));
  CHECK(*token.get() == 8);
  CHECK(*std::move(token).get() == 8);
}

TEST_CASE("coroutines await coroutines", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto outer = [](Handler<Subject>& k) -> Coroutine<int> {
    co_await grow(k, 100);
    int caught = 0;
    try {
      co_await fail(k);
    } catch (const std::domain_error&) {
      caught = 1000;
    }
    auto inner = add_twice(k, 1);
    co_return caught + co_await std::move(inner);
  };
  CHECK(sync_wait(outer(h)) == 1203);
}

TEST_CASE("a coroutine may await a hundred thousand calls", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto loop = [](Handler<Subject>& k) -> Coroutine<int> {
    int last = 0;
    for (int i = 0; i < 100'000; ++i) last = co_await k.call(&Subject::add, 1);
    co_return last;
  };
  CHECK(sync_wait(loop(h)) == 100'000);
}

TEST_CASE("a coroutine may await a hundred thousand results that are there, and coroutines",
          "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto loop = [](Handler<Subject>& k) -> Coroutine<std::int64_t> {
    auto ready = k.call(&Subject::add, 1);
    ready.wait();
    std::int64_t sum = 0;
    for (int i = 0; i < 100'000; ++i) sum += co_await ready;
    for (int i = 0; i < 10'000; ++i) co_await grow(k, 1);
    co_return sum;
  };
  CHECK(sync_wait(loop(h)) == 100'000);
  CHECK(h.get(&Subject::total).get() == 10'001);
}

TEST_CASE("start() begins a coroutine at once and gives its token", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  bool begun = false;
  auto marks = start(mark(begun));
  CHECK(begun);
  CHECK(marks.ready());
  CHECK(marks.get() == 1);
  auto h = on<Subject>(backend);
  auto token = start(add_twice(h, 5));
  static_assert(std::is_same_v<decltype(token), Token<int>>);
  CHECK(token.get() == 15);
  CHECK(token.get() == 15);
  CHECK_FALSE(token.cancel());
  auto nothing = start(grow(h, 1));
  nothing.wait();
  nothing.get();
  auto fails = start(fail(h));
  CHECK(fails.wait_for(60s));
  CHECK_THROWS_AS(fails.get(), std::domain_error);
  CHECK_THROWS_AS(fails.get(), std::domain_error);
}

TEST_CASE("several coroutines run at a time", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  const auto [one, two] = apalis::get(start(add_twice(h, 1)), start(add_twice(k, 10)));
  CHECK(one == 3);
  CHECK(two == 30);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 100; ++i) {
    tokens.push_back(start(add_twice(h, 0)));
    tokens.push_back(start(add_twice(k, 0)));
  }
  const auto results = apalis::get(std::move(tokens));
  CHECK(results[0] == 4);
  CHECK(results[199] == 40);
}

TEST_CASE("coroutines make way for each other", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Subject>(backend, &entered, &leave);
  auto k = on<Subject>(backend);
  const auto blocked = [](Handler<Subject>& x) -> Coroutine<int> {
    co_return co_await x.call(&Subject::wait);
  };
  std::vector<Token<int>> tokens;
  tokens.push_back(start(blocked(h)));
  tokens.push_back(start(add_twice(k, 1)));
  entered.pass();
  const auto [ready, pending] = apalis::wait(tokens, {.count = 1, .timeout = 60s});
  CHECK(ready == std::vector<std::size_t>{1});
  CHECK(pending == std::vector<std::size_t>{0});
  CHECK_FALSE(tokens[0].ready());
  CHECK_FALSE(tokens[0].wait_for(1ms));
  leave.open();
  CHECK(tokens[0].get() == 1);
}

TEST_CASE("a coroutine awaits calls to several handlers and to groups", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  auto g = cells(backend, 2, 4);
  const auto both = [](Handler<Subject>& one, Handler<Subject>& two,
                       apalis::GroupHandler<Cell>& group) -> Coroutine<int> {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      auto first = one.call(&Subject::add, 1);
      auto second = two.call(&Subject::add, 1);
      sum += co_await second;
      sum += co_await std::move(first);
      sum += co_await group[3].call(&Cell::tell);
      const std::vector<int> all = co_await group.start_map(&Cell::tell);
      for (const int x : all) sum += x;
    }
    co_return sum;
  };
  CHECK(sync_wait(both(h, k, g)) == 2 * 5050 + 100 * 9);
}

TEST_CASE("a coroutine awaits the token of another one, and of a continuation", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  const auto outer = [](Handler<Subject>& one, Handler<Subject>& two) -> Coroutine<int> {
    auto started = start(add_twice(one, 1));
    auto other = start(add_twice(two, 10));
    int sum = co_await started;
    sum += co_await std::move(other);
    sum += co_await one.call(&Subject::add, 0).then([](int x) { return 100 * x; });
    auto fails = start(fail(two));
    try {
      co_await fails;
    } catch (const std::domain_error&) {
      sum += 1000;
    }
    co_return sum;
  };
  CHECK(sync_wait(outer(h, k)) == 3 + 30 + 200 + 1000);
  auto after = start(outer(h, k)).then([](int x) { return x; });
  CHECK(after.get() == 7 + 70 + 400 + 1000);
}

TEST_CASE("a coroutine whose token was dropped runs on", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int ended = 0;
  const auto grows = [](Handler<Subject>& h, int& e) -> Coroutine<> {
    const Ends ends{e};
    for (int i = 0; i < 10; ++i) co_await h.call(&Subject::grow, 1);
  };
  auto h = on<Subject>(backend);
  { auto dropped = start(grows(h, ended)); }
  { auto fails = start(fail(h)); }
  while (ended == 0) h.drain();
  CHECK(h.get(&Subject::total).get() == 10);
  CHECK(ended == 1);
}

TEST_CASE("a coroutine learns of the end of what it awaits, and ends", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int ended = 0;
  const auto loops = [](Handler<Subject>& h, int& e) -> Coroutine<> {
    const Ends ends{e};
    for (;;) co_await h.call(&Subject::grow, 1);
  };
  if (!runs_beside(backend)) return;  // there it would go on for ever
  auto h = on<Subject>(backend);
  auto token = start(loops(h, ended));
  CHECK_FALSE(token.ready());
  h.close();
  REQUIRE(token.wait_for(60s));
  CHECK_THROWS_AS(token.get(), apalis::Error);
  CHECK(ended == 1);
}

TEST_CASE("coroutines on different handlers run on different threads", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  const auto loop = [](Handler<Subject>& x) -> Coroutine<int> {
    int last = 0;
    for (int i = 0; i < 2000; ++i) last = co_await x.call(&Subject::add, 1);
    co_return last;
  };
  int one = 0;
  int two = 0;
  {
    const std::jthread first{[&] { one = sync_wait(loop(h)); }};
    const std::jthread second{[&] { two = sync_wait(loop(k)); }};
  }
  CHECK(one == 2000);
  CHECK(two == 2000);
}

TEST_CASE("coroutines on one handler may be driven by several threads", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const auto loop = [](Handler<Subject>& x) -> Coroutine<int> {
    int awaited = 0;
    for (int i = 0; i < 2000; ++i) {
      co_await x.call(&Subject::add, 1);
      ++awaited;
    }
    co_return awaited;
  };
  std::vector<int> awaited(4);
  {
    std::vector<std::jthread> threads;
    for (int& result : awaited) threads.emplace_back([&] { result = sync_wait(loop(h)); });
  }
  CHECK(awaited == std::vector<int>(4, 2000));
  CHECK(h.get(&Subject::total).get() == 8000);
}

TEST_CASE("a coroutine may await what is not of this library", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  struct Event {
    std::coroutine_handle<> waiting;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { waiting = h; }
    void await_resume() const noexcept {}
  };
  auto h = on<Subject>(backend);
  Event event;
  const auto waits = [](Handler<Subject>& x, Event& e) -> Coroutine<int> {
    co_await e;
    co_return co_await x.call(&Subject::add, 5);
  };
  auto token = start(waits(h, event));
  CHECK_FALSE(token.ready());
  CHECK_FALSE(token.wait_for(1ms));
  const std::jthread resumes{[&] { event.waiting.resume(); }};
  CHECK(token.get() == 5);
}

TEST_CASE("a batch of coroutines can be taken as they end", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 20; ++i) tokens.push_back(start(add_twice(i % 2 == 0 ? h : k, 1)));
  std::size_t count = 0;
  for (auto& token : apalis::as_completed(tokens)) {
    CHECK(token.ready());
    ++count;
  }
  CHECK(count == 20);
}
