// SPDX-License-Identifier: BSL-1.0
// Cancelling, and its races with a call's start, completion and death.
#include <signal.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Cancelled;
using apalis::Handler;
using apalis::WorkerDied;
using namespace std::chrono_literals;

namespace {

struct Work {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  std::vector<int> done = {};

  int until_stopped() {
    const auto stop = apalis::this_worker().stop_token();
    entered->open();
    while (!stop.stop_requested()) std::this_thread::yield();
    return 42;
  }
  bool is_stopped() const { return apalis::this_worker().stop_token().stop_requested(); }
  int spin() {
    entered->open();
    for (;;) asm volatile("");
  }
  int wait() {
    entered->open();
    leave->pass();
    return 1;
  }
  int mark(int id) {
    done.push_back(id);
    return id;
  }
  std::vector<int> all() const { return done; }
  int die_now() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
};

enum class End { result, cancelled, died };

End end_of(apalis::Token<int>& token) {
  if (!token.wait_for(60s)) throw std::runtime_error("the token hangs");
  try {
    token.get();
    return End::result;
  } catch (const Cancelled&) {
    return End::cancelled;
  } catch (const WorkerDied&) {
    return End::died;
  }
}

}  // namespace

TEST_CASE("a running call is asked to stop, and its result counts", "[cancel]") {
  Gate entered;
  Handler<Work> h{Work{.entered = &entered}};
  auto t = h.call(&Work::until_stopped);
  entered.pass();
  CHECK(!t.cancel());
  CHECK(t.get() == 42);
  CHECK(!h.call(&Work::is_stopped).get());
}

TEST_CASE("a request to stop is for its own call only", "[cancel]") {
  Gate entered;
  Gate leave;
  Handler<Work> h{Work{.entered = &entered, .leave = &leave}};
  auto first = h.call(&Work::wait);
  auto looks = h.call(&Work::is_stopped);
  entered.pass();
  CHECK(!first.cancel());
  leave.open();
  CHECK(first.get() == 1);
  CHECK(!looks.get());
}

TEST_CASE("a running call is ended by force, and the queued ones are not", "[cancel]") {
  Gate entered;
  Handler<Work> h{{.restart = {.max = 2}}, apalis::carry, Work{.entered = &entered}};
  auto t = h.call(&Work::spin);
  auto behind = h.call(&Work::mark, 7);
  entered.pass();
  CHECK(t.cancel(apalis::force));
  CHECK(end_of(t) == End::cancelled);
  CHECK(behind.get() == 7);
  CHECK(!t.cancel(apalis::force));
}

TEST_CASE("by force without a restart policy the handler ends", "[cancel]") {
  Gate entered;
  Handler<Work> h{Work{.entered = &entered}};
  auto t = h.call(&Work::spin);
  auto behind = h.call(&Work::mark, 7);
  entered.pass();
  CHECK(t.cancel(apalis::force));
  CHECK(end_of(t) == End::cancelled);
  CHECK(end_of(behind) == End::died);
}

TEST_CASE("force drops a queued call without harm to the running one", "[cancel]") {
  Gate entered;
  Gate leave;
  Handler<Work> h{Work{.entered = &entered, .leave = &leave}};
  auto running = h.call(&Work::wait);
  auto queued = h.call(&Work::mark, 1);
  entered.pass();
  CHECK(queued.cancel(apalis::force));
  leave.open();
  CHECK(running.get() == 1);
  CHECK(end_of(queued) == End::cancelled);
  CHECK(h.call(&Work::all).get().empty());
}

TEST_CASE("what was cancelled in the queue of a worker that dies is not run by the next",
          "[cancel]") {
  Gate entered;
  Gate leave;
  Handler<Work> h{
      {.restart = {.max = 2}}, apalis::carry, Work{.entered = &entered, .leave = &leave}};
  auto running = h.call(&Work::wait);
  std::vector<apalis::Token<int>> queued;
  for (int i = 0; i < 10; ++i) queued.push_back(h.call(&Work::mark, i));
  entered.pass();
  for (std::size_t i = 0; i < 10; i += 2) CHECK(queued[i].cancel());
  ::kill(h.pid(), SIGKILL);
  CHECK(end_of(running) == End::died);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(end_of(queued[i]) == (i % 2 == 0 ? End::cancelled : End::result));
  CHECK(h.call(&Work::all).get() == std::vector<int>{1, 3, 5, 7, 9});
}

TEST_CASE("a call that waits for a worker to come can be cancelled", "[cancel]") {
  Handler<Work> h{{.restart = {.max = 5, .backoff = 1h, .max_backoff = 1h}}, std::in_place};
  auto first = h.call(&Work::die_now);
  CHECK(end_of(first) == End::died);  // replaced at once
  auto second = h.call(&Work::die_now);
  CHECK(end_of(second) == End::died);  // the next one is an hour away
  auto waiting = h.call(&Work::mark, 1);
  CHECK(!waiting.ready());
  CHECK(waiting.cancel());
  CHECK(end_of(waiting) == End::cancelled);
  CHECK(h.alive());
  h.kill();
}

TEST_CASE("a large call that is on its way to the next worker can be cancelled", "[cancel]") {
  Gate entered;
  Gate leave;
  Handler<Work> h{{.restart = {.max = 5, .backoff = 50ms, .max_backoff = 50ms}},
                  apalis::carry,
                  Work{.entered = &entered, .leave = &leave}};
  auto first = h.call(&Work::die_now);
  CHECK(end_of(first) == End::died);  // replaced at once
  auto second = h.call(&Work::die_now);
  CHECK(end_of(second) == End::died);  // the next one comes later
  auto running = h.call(&Work::wait);
  auto before = h.call(&Work::mark, 1);
  const auto mark_by_size = [](Work& work, const std::string& text) {
    return work.mark(static_cast<int>(text.size()));
  };
  auto large = h.call(mark_by_size, std::string(2'000'000, 'x'));
  while (!entered.pass_within(1ms)) CHECK(h.alive());  // which makes the worker
  CHECK(large.cancel());  // some of it lies in the arena, and the worker is busy
  CHECK(end_of(large) == End::cancelled);
  leave.open();
  CHECK(end_of(running) == End::result);
  CHECK(end_of(before) == End::result);
  CHECK(h.call(&Work::mark, 3).get() == 3);
  CHECK(h.call(&Work::all).get() == std::vector<int>{1, 3});
}

// The races. Each round starts a cancel at a random moment around a call's start and end; whatever
// comes first, what the token says must be what happened.
TEST_CASE("cancel against start and completion: told is what was done", "[cancel][race]") {
  std::mt19937 random(GENERATE(1U, 2U, 3U));
  Handler<Work> h;
  std::vector<int> expected;
  for (int round = 0; round < 2000; ++round) {
    auto before = h.call(&Work::mark, -1);
    auto t = h.call(&Work::mark, round);
    for (auto spins = random() % 400; spins > 0; --spins) asm volatile("");
    const bool dropped = t.cancel();
    const auto end = end_of(t);
    REQUIRE(end == (dropped ? End::cancelled : End::result));
    if (end == End::result) expected.push_back(round);
    before.get();
  }
  auto done = h.call(&Work::all).get();
  std::erase(done, -1);
  CHECK(done == expected);
}

TEST_CASE("cancel by force against completion: cancelled or done, and never a hang",
          "[cancel][race]") {
  std::mt19937 random(GENERATE(4U, 5U));
  Handler<Work> h{{.restart = {.max = 1'000'000, .backoff = 0ms}}, std::in_place};
  for (int round = 0; round < 100; ++round) {
    auto t = h.call(&Work::mark, round);
    auto behind = h.call(&Work::mark, round);
    for (auto spins = random() % 2000; spins > 0; --spins) asm volatile("");
    const bool dropped = t.cancel(apalis::force);
    REQUIRE(end_of(t) == (dropped ? End::cancelled : End::result));
    // It may have begun in the moment between the look and the kill.
    REQUIRE(end_of(behind) != End::cancelled);
  }
}

TEST_CASE("cancel against death: every token ends, and as what it was told", "[cancel][race]") {
  std::mt19937 random(GENERATE(6U, 7U));
  Handler<Work> h{{.restart = {.max = 1'000'000, .backoff = 0ms}}, std::in_place};
  for (int round = 0; round < 100; ++round) {
    Watched worker(h.pid());  // not reaped before the calls below
    auto t = h.call(&Work::mark, round);
    auto behind = h.call(&Work::mark, round);
    std::jthread killer([&worker, spins = random() % 4000]() mutable {
      for (; spins > 0; --spins) asm volatile("");
      worker.signal(SIGKILL);
    });
    for (auto spins = random() % 4000; spins > 0; --spins) asm volatile("");
    const bool dropped = t.cancel();
    const auto end = end_of(t);
    if (dropped) REQUIRE(end == End::cancelled);
    if (!dropped) REQUIRE(end != End::cancelled);
    (void)end_of(behind);
    killer.join();
  }
}
