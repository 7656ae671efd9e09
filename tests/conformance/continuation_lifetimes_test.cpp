// SPDX-License-Identifier: BSL-1.0
// What lives how long where something follows a call: states, coroutines, handlers, groups.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

using apalis::Coroutine;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Echo {
  int f(int x) { return x + 1; }
};

/// A task of another library: starts at once, and is destroyed with its object.
struct ForeignTask {
  struct promise_type {
    ForeignTask get_return_object() {
      return ForeignTask{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_value(int x) { value = x; }
    void unhandled_exception() { std::terminate(); }
    std::optional<int> value;
  };
  explicit ForeignTask(std::coroutine_handle<promise_type> s) : self(s) {}
  ForeignTask(ForeignTask&& other) noexcept : self(std::exchange(other.self, nullptr)) {}
  ForeignTask& operator=(ForeignTask&&) = delete;
  ~ForeignTask() {
    if (self) self.destroy();
  }
  std::coroutine_handle<promise_type> self;
};

Coroutine<int> ours(apalis::Handler<Echo>& h) {
  co_return co_await h.call(&Echo::f, 1) + co_await h.call(&Echo::f, 2);
}

ForeignTask theirs(apalis::Handler<Echo>& h) { co_return co_await ours(h); }

ForeignTask one_call(apalis::Handler<Echo>& h) { co_return co_await h.call(&Echo::f, 1); }

Coroutine<std::vector<int>> empty() { co_return {}; }

struct Slow {
  Gate* leave = nullptr;
  Gate* destroyed = nullptr;
  bool waits = false;
  void work() const {
    if (waits) leave->pass_unbounded();
  }
  ~Slow() {
    if (destroyed != nullptr) destroyed->open();
  }
};

struct Text {
  explicit Text(const char* t) : text(t) {}
  std::string text;
  std::string get() const { return text; }
};

}  // namespace

template <class T, class F>
concept followed_by = requires(T& token, F f) { token.then(f); };

TEST_CASE("what followed a dropped token may itself use the handler when it ends",
          "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  { auto dropped = h.call(&Echo::f, 1).then([&](int x) { return h.call(&Echo::f, x); }); }
  h.drain();
  CHECK(h.call(&Echo::f, 1).get() == 2);
}

TEST_CASE("a coroutine of another library awaits one of ours", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto task = theirs(h);
  while (!task.self.done()) h.call(&Echo::f, 0).get();
  CHECK(task.self.promise().value == 5);
}

TEST_CASE("a coroutine may be destroyed while it waits", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  for (int i = 0; i < 50; ++i) {
    auto task = one_call(h);
    (void)task;
  }
  CHECK(h.call(&Echo::f, 1).get() == 2);
}

TEST_CASE("a coroutine that was moved from is refused in words", "[coroutines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  auto one = ours(h);
  auto two = std::move(one);
  CHECK_THROWS_AS(apalis::sync_wait(std::move(one)), apalis::Error);  // NOLINT: that is the test
  CHECK(apalis::sync_wait(std::move(two)) == 5);
}

TEST_CASE("co_return {} gives a value-initialised result", "[coroutines]") {
  CHECK(apalis::sync_wait(empty()).empty());
}

TEST_CASE("a token may be asked inside what follows it", "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  std::vector<Token<int>> tokens;
  tokens.push_back(h.call(&Echo::f, 1));
  auto next = tokens[0].then([&](int x) {
    const auto ready = apalis::wait(tokens).ready.size();
    int seen = 0;
    for (auto& token : apalis::as_completed(tokens)) seen += token.get();
    return x + seen + static_cast<int>(ready);
  });
  CHECK(next.get() == 2 + 2 + 1);

  auto started = apalis::start(ours(h));
  auto doubled = started.then([&](int x) { return x + started.get(); });
  CHECK(doubled.get() == 10);
}

TEST_CASE("handlers may end between two tokens of as_completed", "[as_completed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<std::optional<apalis::Handler<Echo>>> handlers(3);
  std::vector<Token<int>> tokens;
  for (auto& h : handlers) {
    h.emplace(on<Echo>(backend));
    tokens.push_back(h->call(&Echo::f, 1));
  }
  int sum = 0;
  for (auto& token : apalis::as_completed(tokens)) {
    const auto i = static_cast<std::size_t>(&token - tokens.data());
    sum += std::move(token).get();
    handlers[i].reset();
  }
  CHECK(sum == 6);
}

TEST_CASE("a queued call that is cancelled tells those who wait for what follows it",
          "[continuations]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered;
  Gate leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  auto running = h.call(&Waiter::wait);
  entered.pass();
  auto queued = h.call(&Waiter::count);
  auto next = queued.then([](int x) { return x; });
  std::atomic<bool> cancelled{false};
  std::thread waiter([&] {
    try {
      next.get();
    } catch (const apalis::Cancelled&) {
      cancelled = true;
    }
  });
  CHECK(queued.cancel());
  leave.open();
  waiter.join();
  CHECK(cancelled);
  running.get();
}

TEST_CASE("a worker that does not end in time costs the others of its group nothing", "[group]") {
  Gate leave;
  Gate destroyed;
  std::vector<std::exception_ptr> errors;
  {
    apalis::GroupHandler<Slow> g{
        apalis::GroupOptions{.workers = 3,
                             .close_timeout = 200ms,
                             .on_error = [&](std::exception_ptr e) { errors.push_back(e); }},
        std::in_place, 3, [&](std::size_t i) {
          return Slow{&leave, i == 0 ? nullptr : &destroyed, i == 0};
        }};
    for (auto object : g) object.post(&Slow::work);
  }
  CHECK(errors.size() == 1);
  CHECK(destroyed.pass_within(10s));
  CHECK(destroyed.pass_within(10s));
}

TEST_CASE("a callable with state starts anew for each object of a map", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  for (const std::size_t workers : {1U, 2U, 4U}) {
    apalis::GroupHandler<Echo> g{apalis::GroupOptions{.workers = workers, .backend = backend},
                                 std::in_place, 8};
    const auto counts = g.map(apalis::by_value([n = 5](Echo&) mutable { return n++; }));
    CHECK(counts == std::vector<int>(8, 5));
  }
}

TEST_CASE("objects of a group are made from a string literal", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  apalis::GroupHandler<Text> g{apalis::GroupOptions{.workers = 2, .backend = backend},
                               std::in_place, 3, "hello"};
  CHECK(g.map(&Text::get) == std::vector<std::string>(3, "hello"));
}

TEST_CASE("what can't follow a token is no candidate", "[continuations]") {
  const auto takes_string = [](const std::string&) {};
  using TakesString = decltype(takes_string);
  static_assert(!followed_by<Token<std::vector<int>>, TakesString>);
  static_assert(followed_by<Token<std::string>, TakesString>);
  SUCCEED();
}
