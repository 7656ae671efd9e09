// SPDX-License-Identifier: BSL-1.0 A worker that dies is replaced, if its handler says so; what had
// not begun is done by the next one.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::CallOptions;
using apalis::Handler;
using apalis::Options;
using apalis::WorkerDied;
using apalis::WorkerExit;
using namespace std::chrono_literals;

namespace {

// Kills its process by a signal that no sanitizer's or framework's handler catches.
[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

struct Mortal {
  int total = 0;
  std::unique_ptr<int> unsendable = std::make_unique<int>(0);  // carried by fork, never serialised
  Gate* entered = nullptr;
  Gate* leave = nullptr;

  int add(int x) { return total += x; }
  std::vector<int> grow(std::vector<int> values, int by) {
    for (int& v : values) v += by;
    total += by;
    return values;
  }
  int die_now() { die(); }
  int die_in_first() {
    if (apalis::this_worker().generation() == 0) die();
    return static_cast<int>(apalis::this_worker().generation());
  }
  int refuse() { throw std::invalid_argument("refused"); }
  int wait() {
    entered->open();
    leave->pass();
    return ++total;
  }
  int generation() const { return static_cast<int>(apalis::this_worker().generation()); }
};

Options restarting(unsigned max) {
  return {.restart = {.max = max, .backoff = 1ms}};
}

template <class R>
void check_died(apalis::Token<R> token) {
  REQUIRE(token.wait_for(60s));
  CHECK_THROWS_AS(token.get(), WorkerDied);
}

}  // namespace

TEST_CASE("a worker that dies is replaced by one with the carried object as it was", "[restart]") {
  Handler<Mortal> h{restarting(3), apalis::carry, Mortal{.total = 100}};
  CHECK(h.call(&Mortal::add, 5).get() == 105);
  const pid_t first = h.pid();
  check_died(h.call(&Mortal::die_now));
  CHECK(h.call(&Mortal::add, 1).get() == 101);
  CHECK(h.pid() != first);
  CHECK(h.restarts() == 1);
  CHECK(h.alive());
}

TEST_CASE("an object made in place is made again from its arguments, moved-from ones too",
          "[restart]") {
  struct Named {
    explicit Named(std::string n, std::unique_ptr<int> v)
        : name(std::move(n)), value(std::move(v)) {}
    std::string name;
    std::unique_ptr<int> value;
    std::string tell() const { return name + std::to_string(*value); }
    int die_now() { die(); }
  };
  Handler<Named> h{restarting(2), std::in_place, std::string(100, 'n'), std::make_unique<int>(7)};
  check_died(h.call(&Named::die_now));
  CHECK(h.call(&Named::tell).get() == std::string(100, 'n') + "7");
  check_died(h.call(&Named::die_now));
  CHECK(h.call(&Named::tell).get() == std::string(100, 'n') + "7");
}

TEST_CASE("calls that had not begun are run once each, in order, by the next worker", "[restart]") {
  Gate entered, leave;
  Handler<Mortal> h{restarting(3), apalis::carry, Mortal{.entered = &entered, .leave = &leave}};
  const auto size = GENERATE(1, 100, 1900);  // one, a few, nearly a ring full
  auto in_progress = h.call(&Mortal::wait);
  std::vector<apalis::Token<int>> queued;
  for (int i = 1; i <= size; ++i) queued.push_back(h.call(&Mortal::add, i));
  entered.pass();
  ::kill(h.pid(), SIGKILL);
  check_died(std::move(in_progress));
  int total = 0;
  for (int i = 1; i <= size; ++i) {
    total += i;
    REQUIRE(queued[static_cast<std::size_t>(i - 1)].get() == total);
  }
}

TEST_CASE("large messages that had not begun go to the next worker whole", "[restart]") {
  Gate entered, leave;
  Handler<Mortal> h{restarting(3), apalis::carry, Mortal{.entered = &entered, .leave = &leave}};
  const auto size = GENERATE(std::size_t{10'000}, std::size_t{40'000});
  std::vector<int> values(size);
  std::iota(values.begin(), values.end(), 0);
  auto in_progress = h.call(&Mortal::wait);
  auto first = h.call(&Mortal::grow, values, 1);
  auto second = h.call(&Mortal::add, 1);
  entered.pass();
  ::kill(h.pid(), SIGKILL);
  check_died(std::move(in_progress));
  for (int& v : values) v += 1;
  CHECK(first.get() == values);
  CHECK(second.get() == 2);
}

TEST_CASE("results that were there before the death count", "[restart]") {
  Handler<Mortal> h{restarting(1), std::in_place};
  auto before = h.call(&Mortal::add, 1);
  auto failed = h.call(&Mortal::refuse);
  check_died(h.call(&Mortal::die_now));
  CHECK(before.get() == 1);
  CHECK_THROWS_AS(failed.get(), std::invalid_argument);
}

TEST_CASE("a retryable call is run again by the next worker, ahead of the others", "[restart]") {
  Handler<Mortal> h{restarting(3), std::in_place};
  auto again = h.call(CallOptions{.retries = 1}, &Mortal::die_in_first);
  auto after = h.call(&Mortal::generation);
  CHECK(again.get() == 1);
  CHECK(after.get() == 1);
  CHECK(h.call<&Mortal::add>({.retries = 1}, 2).get() == 2);
}

TEST_CASE("a call that kills each worker is retried as often as it may be, and no more",
          "[restart]") {
  Handler<Mortal> h{restarting(10), std::in_place};
  auto t = h.call({.retries = 2}, &Mortal::die_now);
  check_died(std::move(t));
  CHECK(h.call(&Mortal::generation).get() == 3);
  CHECK(h.restarts() == 3);
}

TEST_CASE("restarts end at their maximum: then every call fails", "[restart]") {
  Handler<Mortal> h{restarting(2), std::in_place};
  check_died(h.call(&Mortal::die_now));
  check_died(h.call(&Mortal::die_now));
  CHECK(h.alive());
  check_died(h.call(&Mortal::die_now));
  check_died(h.call(&Mortal::generation));
  CHECK(!h.alive());
  CHECK(h.restarts() == 2);
}

TEST_CASE("without a policy nothing is restarted", "[restart]") {
  Handler<Mortal> h;
  check_died(h.call(&Mortal::die_now));
  check_died(h.call(&Mortal::generation));
  CHECK(h.restarts() == 0);
}

TEST_CASE("one-way calls survive a death, but for the one in progress", "[restart]") {
  Gate entered, leave;
  Handler<Mortal> h{restarting(3), apalis::carry, Mortal{.entered = &entered, .leave = &leave}};
  h.post(&Mortal::add, 1000);  // done by the first worker, and gone with it
  h.post(&Mortal::wait);
  for (int i = 0; i < 50; ++i) h.post(&Mortal::add, 1);
  entered.pass();
  ::kill(h.pid(), SIGKILL);
  try {
    h.drain();
    FAIL("the post in progress was lost silently");
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == 1);
    CHECK_THROWS_AS(std::rethrow_exception(e.first()), WorkerDied);
  }
  CHECK(h.call(&Mortal::add, 0).get() == 50);
  h.drain();
}

TEST_CASE("failures that a dead worker had counted are not forgotten", "[restart]") {
  Handler<Mortal> h{restarting(3), std::in_place};
  h.post(&Mortal::refuse);
  h.call(&Mortal::add, 1).get();
  check_died(h.call(&Mortal::die_now));
  h.post(&Mortal::refuse);
  try {
    h.drain();
    FAIL("failures were forgotten");
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == 2);
    CHECK_THROWS_AS(std::rethrow_exception(e.first()), std::invalid_argument);
  }
}

TEST_CASE("close() completes what was accepted though a worker dies over it", "[restart]") {
  Gate entered, leave, counted;
  struct Counting : Mortal {
    Gate* gate = nullptr;
    int pass() {
      gate->open();
      return 1;
    }
  };
  Counting object;
  object.entered = &entered;
  object.leave = &leave;
  object.gate = &counted;
  Handler<Counting> h{restarting(3), apalis::carry, std::move(object)};
  auto in_progress = h.call(&Counting::wait);
  for (int i = 0; i < 20; ++i) h.post(&Counting::pass);
  entered.pass();
  ::kill(h.pid(), SIGKILL);
  h.close();
  for (int i = 0; i < 20; ++i) CHECK(counted.pass_within(0ms));
  CHECK(!counted.pass_within(0ms));
  check_died(std::move(in_progress));
}

TEST_CASE("a death while idle is noticed at the next touch and told to the hook", "[restart]") {
  std::vector<WorkerExit> exits;
  auto options = restarting(3);
  options.name = "idle";
  options.on_worker_exit = [&](const WorkerExit& e) { exits.push_back(e); };
  Handler<Mortal> h{options, std::in_place};
  h.call(&Mortal::add, 1).get();
  const pid_t first = h.pid();
  Watched worker(first);
  ::kill(first, SIGKILL);
  REQUIRE(worker.ends());
  CHECK(h.call(&Mortal::add, 1).get() == 1);
  REQUIRE(exits.size() == 1);
  CHECK(exits[0].pid == first);
  CHECK(exits[0].signal == SIGKILL);
  CHECK(exits[0].known);
  CHECK(exits[0].name == "idle");
  CHECK(exits[0].replaced);
  CHECK(!exits[0].expected);
  CHECK_THROWS_AS(std::rethrow_exception(exits[0].error), WorkerDied);
  const pid_t second = h.pid();
  h.close();
  REQUIRE(exits.size() == 2);
  CHECK(exits[1].pid == second);
  CHECK(exits[1].expected);
  CHECK(!exits[1].replaced);
  CHECK(exits[1].error == nullptr);
}

TEST_CASE("the log hook tells of replacements", "[restart]") {
  std::vector<std::string> lines;
  const auto before = apalis::set_log_hook([&](apalis::LogLevel level, std::string_view text) {
    if (level == apalis::LogLevel::info) lines.emplace_back(text);
  });
  {
    Handler<Mortal> h{restarting(3), std::in_place};
    check_died(h.call(&Mortal::die_now));
    CHECK(h.call(&Mortal::generation).get() == 1);
  }
  apalis::set_log_hook(before);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("SIGKILL") != std::string::npos);
}

TEST_CASE("kill() ends a handler for good, whatever its policy", "[restart]") {
  Handler<Mortal> h{restarting(3), std::in_place};
  auto t = h.call(&Mortal::add, 1);
  h.kill();
  CHECK(!h.alive());
  check_died(h.call(&Mortal::generation));
  CHECK(h.restarts() == 0);
}

TEST_CASE("a spare child that is gone makes a death final, with its reason", "[restart]") {
  Handler<Mortal> h{restarting(3), std::in_place};
  h.call(&Mortal::add, 1).get();
  // The spare is this process's other child: it was forked right after the worker.
  const auto spare = children();
  REQUIRE(spare.size() == 2);
  for (const pid_t pid : spare)
    if (pid != h.pid()) {
      Watched watched(pid);
      watched.signal(SIGKILL);
      REQUIRE(watched.ends());
    }
  check_died(h.call(&Mortal::die_now));
  check_died(h.call(&Mortal::generation));
  CHECK(!h.alive());
}

TEST_CASE("a worker retires after its calls, and no call is lost", "[restart][retire]") {
  Handler<Mortal> h{{.max_calls_per_worker = 10}, std::in_place};
  SECTION("calls") {
    std::vector<apalis::Token<int>> tokens;
    for (int i = 0; i < 105; ++i) tokens.push_back(h.call(&Mortal::add, 1));
    for (int i = 0; i < 105; ++i) REQUIRE(tokens[static_cast<std::size_t>(i)].get() == i % 10 + 1);
    CHECK(h.retired() == 10);
  }
  SECTION("posts, and what they failed with") {
    for (int i = 0; i < 25; ++i) h.post(&Mortal::refuse);
    try {
      h.drain();
      FAIL("failures were forgotten");
    } catch (const apalis::PostError& e) {
      CHECK(e.count() == 25);
    }
    CHECK(h.retired() == 2);
  }
  SECTION("one call at a time") {
    for (int i = 0; i < 35; ++i) REQUIRE(h.call(&Mortal::add, 1).get() == i % 10 + 1);
    CHECK(h.retired() == 3);
  }
  CHECK(h.restarts() == 0);
  h.close();
}

TEST_CASE("a worker that retires runs its object's destructor", "[restart][retire]") {
  struct Opens {
    Gate* gate;
    explicit Opens(Gate* g) : gate(g) {}
    Opens(Opens&&) = delete;
    ~Opens() { gate->open(); }
    int zero() { return 0; }
  };
  Gate ended;
  Handler<Opens> h{{.max_calls_per_worker = 2}, std::in_place, &ended};
  for (int i = 0; i < 4; ++i) h.call(&Opens::zero).get();
  ended.pass();
  h.call(&Opens::zero).get();
  ended.pass();
  h.close();
  ended.pass();
  CHECK(!ended.pass_within(0ms));
}

TEST_CASE("a worker that had retired and ended before anybody looked died of nothing",
          "[restart][retire]") {
  Handler<Mortal> h{{.max_calls_per_worker = 1}, std::in_place};
  for (int i = 0; i < 20; ++i) {
    const Watched worker(h.pid());
    h.call(&Mortal::add, 1).get();
    REQUIRE(worker.ends());
    REQUIRE(h.alive());
  }
  CHECK(h.retired() == 20);
  CHECK(h.restarts() == 0);
}

TEST_CASE("on_worker_start runs in each worker before its object is made", "[restart]") {
  static int prepared = 0;
  struct Looks {
    int seen = prepared;
    int tell() const { return seen; }
    int die_now() { die(); }
  };
  auto options = restarting(1);
  options.on_worker_start = [] {
    prepared = 40 + static_cast<int>(apalis::this_worker().generation());
  };
  Handler<Looks> h{options, std::in_place};
  CHECK(h.call(&Looks::tell).get() == 40);
  check_died(h.call(&Looks::die_now));
  CHECK(h.call(&Looks::tell).get() == 41);
  CHECK(prepared == 0);
}

TEST_CASE("what on_worker_start throws is what calls fail with", "[restart]") {
  Handler<Mortal> h{{.on_worker_start = [] { throw std::domain_error("no licence"); }},
                    std::in_place};
  CHECK_THROWS_AS(h.call(&Mortal::generation).get(), std::domain_error);
}

TEST_CASE("a handler dropped by a fork leaves worker and spare alone", "[restart]") {
  Handler<Mortal> h{restarting(1), std::in_place};
  const pid_t fork = ::fork();
  if (fork == 0) {
    { const auto dropped = std::move(h); }
    ::_exit(0);
  }
  int status = 1;
  ::waitpid(fork, &status, 0);
  CHECK(status == 0);
  check_died(h.call(&Mortal::die_now));
  CHECK(h.call(&Mortal::generation).get() == 1);
}
