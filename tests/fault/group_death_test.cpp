// SPDX-License-Identifier: BSL-1.0
// A worker of a group that dies takes its objects along, or has them made anew; the others' go on.
#include <signal.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::BatchError;
using apalis::Coroutine;
using apalis::GroupHandler;
using apalis::GroupOptions;
using apalis::Outcome;
using apalis::Token;
using apalis::WorkerDied;
using namespace std::chrono_literals;

namespace {

struct Mortal {
  int index = 0;
  int total = 0;
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  std::unique_ptr<int> unsendable = std::make_unique<int>(0);

  int tell() const { return index; }
  int add(int x) { return total += x; }
  void grow(int x) { total += x; }
  int die_if(int which) {
    if (index == which) {
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    }
    return ++total;
  }
  int wait_if(int which) {
    if (index == which) {
      entered->open();
      leave->pass();
    }
    return ++total;
  }
  int die_in_first() {
    if (apalis::this_worker().generation() == 0) return die_if(index);
    return static_cast<int>(apalis::this_worker().generation());
  }
};

/// Mortal 0, 1, … made by a factory.
GroupHandler<Mortal> made(GroupOptions options, std::size_t count, Gate* entered = nullptr,
                          Gate* leave = nullptr) {
  return {std::move(options), std::in_place, count, [=](std::size_t i) {
            return Mortal{static_cast<int>(i), 0, entered, leave};
          }};
}

GroupOptions restarting(std::size_t workers, unsigned max) {
  return {.workers = workers, .restart = {.max = max, .backoff = 1ms}};
}

template <class R>
void check_died(const Outcome<R>& outcome) {
  REQUIRE_FALSE(outcome.has_value());
  CHECK_THROWS_AS(outcome.value(), WorkerDied);
}

template <class R>
void check_died(Token<R> token) {
  REQUIRE(token.wait_for(60s));
  CHECK_THROWS_AS(token.get(), WorkerDied);
}

}  // namespace

TEST_CASE("a worker that dies in a map leaves the others' results", "[group]") {
  auto g = made({.workers = 3}, 8);
  try {
    g.map(&Mortal::die_if, 4);
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 3);
    const auto& outcomes = e.outcomes<int>();
    REQUIRE(outcomes.size() == 8);
    for (std::size_t i = 0; i < 8; ++i) {
      if (i % 3 == 1) {
        check_died(outcomes[i]);
      } else {
        CHECK(outcomes[i].value() == 1);
      }
    }
  }
  CHECK_FALSE(g.alive());
  CHECK(g.lost() == std::vector<std::size_t>{1, 4, 7});
  CHECK(g[0].call(&Mortal::tell).get() == 0);
  CHECK(g[5].call(&Mortal::tell).get() == 5);
  check_died(g[7].call(&Mortal::tell));
}

TEST_CASE("a worker that dies in a run leaves the others' results", "[group]") {
  auto g = made({.workers = 2}, 4);
  std::vector<apalis::Call<Mortal, int>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Mortal::die_if, 2));
  const auto outcomes = g.run(calls, apalis::collect);
  REQUIRE(outcomes.size() == 4);
  check_died(outcomes[0]);  // done, but its result died with the worker
  CHECK(outcomes[1].value() == 1);
  check_died(outcomes[2]);
  CHECK(outcomes[3].value() == 1);
  CHECK(g.lost() == std::vector<std::size_t>{0, 2});
  const std::vector living{calls[1], calls[3]};
  CHECK(g.run(living) == std::vector{2, 2});
  auto token = g.multiple_run(calls);
  REQUIRE(token.wait_for(60s));
  CHECK_THROWS_AS(token.get(), BatchError);
}

TEST_CASE("a worker that is killed in the middle of a batch is told of by name", "[group]") {
  Gate entered, leave;
  auto g = made({.workers = 2, .name = "models"}, 4, &entered, &leave);
  auto token = g.start_map<&Mortal::wait_if>(3);
  entered.pass();
  const pid_t dead = g[3].pid();
  ::kill(dead, SIGKILL);
  try {
    (void)token.get();
    FAIL("get() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 2);
    CHECK(e.outcomes<int>()[0].value() == 1);
    CHECK(e.outcomes<int>()[2].value() == 1);
    try {
      (void)e.outcomes<int>()[3].value();
      FAIL("a result from the dead");
    } catch (const WorkerDied& death) {
      const std::string what = death.what();
      CHECK(death.pid() == dead);
      CHECK(death.signal() == SIGKILL);
      CHECK_THAT(what, Catch::Matchers::ContainsSubstring("models (worker 1 of 2)"));
      CHECK_THAT(what, Catch::Matchers::ContainsSubstring("wait_if"));
    }
  }
}

TEST_CASE("other tokens of a worker that died fail too, those of others do not", "[group]") {
  Gate entered, leave;
  auto g = made({.workers = 2}, 4, &entered, &leave);
  auto running = g[1].call(&Mortal::wait_if, 1);
  auto queued = g[3].call(&Mortal::tell);
  auto other = g[2].call(&Mortal::tell);
  entered.pass();
  ::kill(g[1].pid(), SIGKILL);
  check_died(std::move(running));
  check_died(std::move(queued));
  CHECK(other.get() == 2);
  CHECK_THROWS_AS(g.drain(), WorkerDied);
}

TEST_CASE("a worker's successor makes its objects anew by the factory", "[group][restart]") {
  auto g = made(restarting(2, 3), 6);
  CHECK(g.map(&Mortal::add, 5) == std::vector<int>(6, 5));
  const pid_t first = g[1].pid();
  const pid_t other = g[0].pid();
  check_died(g[3].call(&Mortal::die_if, 3));
  CHECK(g.map(&Mortal::tell) == std::vector{0, 1, 2, 3, 4, 5});
  CHECK(g.map(&Mortal::add, 1) == std::vector{6, 1, 6, 1, 6, 1});
  CHECK(g.lost().empty());
  CHECK(g.alive());
  CHECK(g.restarts() == 1);
  CHECK(g[1].pid() != first);
  CHECK(g[0].pid() == other);
}

TEST_CASE("a worker's successor has the carried objects as they were", "[group][restart]") {
  std::vector<Mortal> objects;
  for (int i = 0; i < 5; ++i) objects.push_back({i, 100 + i});
  GroupHandler<Mortal> g{restarting(2, 3), apalis::carry, std::move(objects)};
  CHECK(g.map(&Mortal::add, 10) == std::vector{110, 111, 112, 113, 114});
  check_died(g[4].call(&Mortal::die_if, 4));
  CHECK(g.map(&Mortal::add, 1) == std::vector{101, 112, 103, 114, 105});
  check_died(g[3].call(&Mortal::die_if, 3));
  CHECK(g.map(&Mortal::add, 0) == std::vector{101, 101, 103, 103, 105});
  CHECK(g.restarts() == 2);
}

TEST_CASE("a worker's successor makes objects from the same arguments", "[group][restart]") {
  struct Named {
    std::string name;
    explicit Named(std::string n) : name(std::move(n)) {}
    std::string tell() const { return name; }
    void rename(const std::string& n) { name = n; }
  };
  GroupHandler<Named> g{restarting(2, 1), std::in_place, 3, std::string(100, 'n')};
  g.map(&Named::rename, "x");
  ::kill(g[0].pid(), SIGKILL);
  const std::string made_anew(100, 'n');
  std::vector<std::string> names;
  // Whether the death is known by the next call is a race; by the one after it, it is.
  try {
    names = g.map(&Named::tell);
  } catch (const BatchError&) {
    names = g.map(&Named::tell);
  }
  CHECK(names == std::vector<std::string>{made_anew, "x", made_anew});
}

TEST_CASE("batches that had not begun go to a worker's successor", "[group][restart]") {
  Gate entered, leave;
  auto g = made(restarting(2, 3), 4, &entered, &leave);
  auto running = g[1].call(&Mortal::wait_if, 1);
  auto first = g.start_map(&Mortal::add, 1);
  auto second = g.start_map(&Mortal::add, 1).then([](std::vector<int> xs) { return xs; });
  g[3].post(&Mortal::grow, 10);
  auto last = g[3].call(&Mortal::add, 1);
  entered.pass();
  ::kill(g[1].pid(), SIGKILL);
  check_died(std::move(running));
  CHECK(first.get() == std::vector{1, 1, 1, 1});
  CHECK(second.get() == std::vector{2, 2, 2, 2});
  CHECK(last.get() == 13);
  g.drain();
}

TEST_CASE("a call to one of many objects can be run again", "[group][restart]") {
  auto g = made(restarting(2, 1), 4);
  CHECK(g[3].call({.retries = 1}, &Mortal::die_in_first).get() == 1);
  CHECK(g.restarts() == 1);
}

TEST_CASE("workers of a group retire, and no call is lost", "[group][restart]") {
  GroupOptions options{.workers = 2, .max_calls_per_worker = 5};
  auto g = made(options, 4);
  for (int i = 0; i < 22; ++i) REQUIRE(g.map(&Mortal::add, 1) == std::vector<int>(4, i % 5 + 1));
  CHECK(g.retired() == 8);
  CHECK(g.restarts() == 0);
}

TEST_CASE("a group without restarts left names what is lost", "[group][restart]") {
  auto g = made(restarting(3, 1), 6);
  check_died(g[2].call(&Mortal::die_if, 2));
  CHECK(g[2].call(&Mortal::tell).get() == 2);
  CHECK(g.lost().empty());
  check_died(g[2].call(&Mortal::die_if, 2));
  check_died(g[5].call(&Mortal::tell));
  CHECK(g.lost() == std::vector<std::size_t>{2, 5});
  CHECK(g[1].call(&Mortal::tell).get() == 1);
}

TEST_CASE("kill() ends every worker of a group", "[group]") {
  Gate entered, leave;
  auto g = made({.workers = 2}, 4, &entered, &leave);
  const auto pids = g.pids();
  std::vector<Watched> workers;
  for (const pid_t pid : pids) workers.emplace_back(pid);
  auto running = g[1].call(&Mortal::wait_if, 1);
  auto all = g.start_map(&Mortal::tell);
  entered.pass();
  g.kill();
  for (const auto& worker : workers) CHECK(worker.ends());
  check_died(std::move(running));
  REQUIRE(all.wait_for(60s));
  CHECK_THROWS_AS(all.get(), BatchError);
  CHECK_FALSE(g.alive());
  CHECK(g.lost().size() == 4);
  check_died(g[0].call(&Mortal::tell));
}

TEST_CASE("a death while a coroutine awaits is an exception in it", "[group][coroutines]") {
  Gate entered, leave;
  auto g = made({.workers = 2}, 4, &entered, &leave);
  const auto awaits = [](GroupHandler<Mortal>& group) -> Coroutine<std::string> {
    std::size_t deaths = 0;
    try {
      co_await group[1].call(&Mortal::wait_if, 1);
    } catch (const WorkerDied&) {
      ++deaths;
    }
    try {
      co_await group.start_map(&Mortal::tell);
    } catch (const BatchError& e) {
      deaths += 10 * e.failures();
    }
    co_return std::to_string(deaths) + " " + std::to_string(co_await group[2].call(&Mortal::tell));
  };
  auto token = apalis::start(awaits(g));
  entered.pass();
  ::kill(g[1].pid(), SIGKILL);
  CHECK(token.get() == "21 2");
}

TEST_CASE("a death in the middle of a continued batch is told to what follows it", "[group]") {
  Gate entered, leave;
  auto g = made({.workers = 2}, 4, &entered, &leave);
  bool ran = false;
  auto all = g.start_map(&Mortal::wait_if, 0);
  auto after = all.then([&](const std::vector<int>&) { ran = true; });
  entered.pass();
  ::kill(g[0].pid(), SIGKILL);
  REQUIRE(after.wait_for(60s));
  CHECK_THROWS_AS(after.get(), BatchError);
  CHECK_THROWS_AS(all.get(), BatchError);
  CHECK_FALSE(ran);
}

TEST_CASE("a group's time limit ends a worker, and the others' results are there", "[group]") {
  Gate entered, leave;
  auto g = made({.workers = 2, .timeout = 200ms}, 4, &entered, &leave);
  auto token = g.start_map(&Mortal::wait_if, 1);
  REQUIRE(token.wait_for(60s));
  try {
    (void)token.get();
    FAIL("get() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.outcomes<int>()[0].value() == 1);
    CHECK(e.outcomes<int>()[2].value() == 1);
    CHECK_THROWS_AS(e.outcomes<int>()[1].value(), apalis::TimedOut);
  }
  CHECK(g.lost() == std::vector<std::size_t>{1, 3});
}
