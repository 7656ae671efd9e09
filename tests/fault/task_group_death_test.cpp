// SPDX-License-Identifier: BSL-1.0
// Groups of tasks whose workers die: which runs that costs, and that the others go on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/by_value.hpp>
#include <apalis/task_group.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Backend;
using apalis::BatchError;
using apalis::Engine;
using apalis::TaskGroup;
using apalis::TimedOut;
using apalis::WorkerDied;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

// The framework's own handlers came along by fork: they must not report in the child.
[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

int die_if(int x, bool deadly) {
  if (deadly) die();
  return 2 * x;
}

template <class R>
TaskGroup<R> group_of(const Engine& engine) {
  return TaskGroup<R>::make(engine).value();
}

bool is_death(const std::exception_ptr& error) {
  if (error == nullptr) return false;
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied& died) {
    return died.signal() == SIGKILL && died.call() == "int (*)(int, bool)";
  } catch (...) {
    return false;
  }
}

template <class R>
BatchError failure_of(TaskGroup<R>& group) {
  try {
    (void)group.get(1min);
  } catch (const BatchError& error) {
    return error;
  }
  throw std::logic_error("the group did not fail");
}

}  // namespace

TEST_CASE("runs whose worker died are named, and the others end well", "[task_group]") {
  const Engine engine{Backend::processes, {.max_workers = 3}};
  auto group = group_of<int>(engine);
  for (int i = 0; i < 100; ++i) group.run(die_if, i, i % 25 == 7);
  const auto error = failure_of(group);
  CHECK_THAT(error.what(), ContainsSubstring("4 of 100 runs") && ContainsSubstring("run 7, int") &&
                               ContainsSubstring("run 82, int"));
  const auto& outcomes = error.outcomes<int>();
  REQUIRE(outcomes.size() == 100);
  for (int i = 0; i < 100; ++i) {
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    if (i % 25 == 7) {
      CHECK(is_death(outcome.error()));
    } else {
      REQUIRE(outcome.has_value());
      REQUIRE(outcome.value() == 2 * i);
    }
  }
  auto next = group_of<int>(engine);  // others took their places
  for (int i = 0; i < 10; ++i) next.run(die_if, i, false);
  CHECK(next.get(1min)[9] == 18);
}

TEST_CASE("a group where each run kills its worker ends", "[task_group]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  auto group = group_of<int>(engine);
  for (int i = 0; i < 20; ++i) group.run(die_if, i, true);
  const auto error = failure_of(group);
  CHECK(error.failures() == 20);
  for (const auto& outcome : error.outcomes<int>()) CHECK(is_death(outcome.error()));
}

TEST_CASE("a worker that dies between the runs of a group costs nothing", "[task_group]") {
  Gate leave;
  const Engine engine{Backend::processes, {.max_workers = 2}};
  auto group = group_of<int>(engine);
  group.run(apalis::by_value([leave = &leave] {
    leave->pass_unbounded();
    return 4;
  }));
  const auto busy = engine.pids();
  REQUIRE(busy.size() == 1);
  const auto run_one = [&] {
    group.run(die_if, 3, false);
    while (group.missing().size() != 1) REQUIRE_THROWS_AS(group.get(10ms), TimedOut);
  };
  run_one();
  for (int round = 0; round < 3; ++round) {
    const auto pids = engine.pids();
    REQUIRE(pids.size() == 2);
    const Watched worker(pids[0] == busy[0] ? pids[1] : pids[0]);
    worker.signal(SIGKILL);
    REQUIRE(worker.ends());
    run_one();
  }
  leave.open();
  CHECK(group.get(1min) == std::vector{4, 6, 6, 6, 6});
}

TEST_CASE("a worker killed while it runs fails that run alone", "[task_group]") {
  Gate entered;
  Gate leave;
  const Engine engine{Backend::processes, {.max_workers = 2}};
  auto group = group_of<int>(engine);
  group.run(apalis::by_value([entered = &entered, leave = &leave] {
    entered->open();
    leave->pass_unbounded();
    return 1;
  }));
  entered.pass();
  const auto victims = engine.pids();
  REQUIRE(victims.size() == 1);
  for (int i = 0; i < 10; ++i) group.run(die_if, i, false);
  CHECK_THROWS_AS(group.get(10ms), TimedOut);
  ::kill(victims[0], SIGKILL);
  const auto error = failure_of(group);
  CHECK(error.failures() == 1);
  CHECK_THROWS_AS(error.outcomes<int>()[0].value(), WorkerDied);
  CHECK(error.outcomes<int>()[10].value() == 18);
}

TEST_CASE("a group's copy in a fork refuses, and ends as nothing", "[task_group]") {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  auto group = group_of<int>(engine);
  group.run(die_if, 1, false);
  const pid_t child = ::fork();
  if (child == 0) {
    int refusals = 0;
    try {
      group.run(die_if, 1, false);
    } catch (const apalis::Error&) {
      ++refusals;
    }
    try {
      (void)group.get();
    } catch (const apalis::Error&) {
      ++refusals;
    }
    { const auto ended = std::move(group); }
    ::_exit(refusals);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
  CHECK(group.get(1min) == std::vector{2});
}

TEST_CASE("the parent of many runs leaves no worker behind", "[task_group]") {
  const bool killed = GENERATE(true, false);
  Host host([](Host::Side& side) {
    const Engine engine{Backend::processes, {.max_workers = 3}};
    auto group = group_of<int>(engine);
    for (int i = 0; i < 3; ++i)
      group.run([] {
        for (;;) ::pause();
        return 0;
      });
    for (int i = 0; i < 5000; ++i) group.run(die_if, i, false);
    for (const pid_t pid : engine.pids()) side.tell(pid);
    side.wait_for_test();
    ::_exit(0);
    return 0;
  });
  std::vector<Watched> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(host.hear<pid_t>());
  for (const auto& worker : workers) CHECK(worker.runs());
  if (killed) {
    host.kill();
  } else {
    host.go_on();
  }
  for (const auto& worker : workers) CHECK(worker.ends());
}
