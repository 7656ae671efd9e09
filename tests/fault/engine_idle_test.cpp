// SPDX-License-Identifier: BSL-1.0
// Worker processes of an engine that nobody uses: they end by themselves, and nothing is lost by it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/engine.hpp>
#include <apalis/log.hpp>
#include <apalis/shared_array.hpp>
#include <apalis/task_group.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"
#include "support/generator.hpp"

using apalis::Backend;
using apalis::Engine;
using apalis::EngineOptions;
using apalis::SharedArray;
using apalis::TaskGroup;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
namespace channel = apalis::detail::channel;

namespace {

constexpr auto soon = 30ms;  // long enough for a parent that sends two messages one after the other

int twice(int x) {
  return 2 * x;
}

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<int> doubles(int count) {
  auto all = numbers(count);
  for (int& x : all) x *= 2;
  return all;
}

/// Waits until all children of this process have ended, without reaping them.
void await_idle_end() {
  for (const pid_t pid : children())
    if (const Watched worker(pid); !worker.ends()) throw std::runtime_error("a worker lives on");
}

/// How a child that nobody has reaped has ended.
siginfo_t how_it_ended(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    throw std::runtime_error("it is no child");
  return info;
}

/// What an engine says to its hooks.
struct Told {
  std::mutex mutex;
  std::vector<apalis::WorkerExit> exits;
  std::vector<std::string> errors;
  std::vector<std::string> lines;
  apalis::LogHook before;

  Told() {
    before = apalis::set_log_hook([this](apalis::LogLevel, std::string_view line) {
      const std::lock_guard lock{mutex};
      lines.emplace_back(line);
    });
  }
  ~Told() { (void)apalis::set_log_hook(before); }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  EngineOptions options(int workers, std::chrono::milliseconds idle_timeout = soon) {
    EngineOptions options{.max_workers = workers, .idle_timeout = idle_timeout};
    options.on_error = [this](const std::exception_ptr& error) {
      const std::lock_guard lock{mutex};
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        errors.emplace_back(e.what());
      }
    };
    options.on_worker_exit = [this](const apalis::WorkerExit& exit) {
      const std::lock_guard lock{mutex};
      exits.push_back(exit);
    };
    return options;
  }

  /// Nothing but ends as they shall be.
  void check_peace() {
    CHECK(errors.empty());
    CHECK(lines.empty());
    for (const auto& exit : exits) {
      CHECK(exit.expected);
      CHECK(exit.error == nullptr);
      CHECK(exit.status == 0);
      CHECK(exit.signal == 0);
    }
  }
};

/// What a worker keeps until it ends.
struct Ballast {
  std::vector<char> bytes = std::vector<char>(std::size_t{32} << 20, 'x');
};

int with_ballast(const Ballast& ballast, int x) {
  return ballast.bytes[100] == 'x' ? 2 * x : -1;
}

/// Items that come only when the worker that ran the one before has ended; `reaps`: and the engine
/// knows.
support::Generator<int> rare_items(SharedArray<pid_t> ran, bool reaps, const Engine& engine) {
  for (std::size_t i = 0; i < ran.size(); ++i) {
    if (i > 0) {
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms};
      pid_t last = 0;
      while ((last = std::atomic_ref(ran.data()[i - 1]).load()) == 0) {
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error("it is not run");
        std::this_thread::yield();
      }
      for (const pid_t pid : children())
        if (pid == last && !Watched(pid).ends()) throw std::runtime_error("a worker lives on");
      if (reaps && std::ranges::count(engine.pids(), last) != 0)
        throw std::runtime_error("it lists the dead");
    }
    co_yield static_cast<int>(i);
  }
}

/// Where the next reply will lie.
std::uint32_t next_reply(const channel::SliceView& view) {
  std::uint32_t next = 0;
  while (channel::Head{view.replies.unit(next).head.load()}.is_at(next)) ++next;
  return next;
}

/// Writes there what a worker says last.
void claim_to_retire(std::byte* slice) {
  const auto view = channel::SliceView::at(slice);
  const auto next = next_reply(view);
  auto& unit = view.replies.unit(next);
  std::memset(unit.data, 0, sizeof unit.data);
  unit.head.store(
      channel::Head::make(next, channel::Kind::single,
                          static_cast<std::uint8_t>(apalis::detail::actor::Answer::retired), 8)
          .word);
}

std::byte* own_slice() {
  return reinterpret_cast<std::byte*>(apalis::detail::actor::current_call.control);
}

}  // namespace

TEST_CASE("the workers of an engine that nobody uses end, and their memory goes back", "[engine]") {
  Told told;
  const Engine engine{Backend::processes, told.options(3)};
  const auto stateful = engine.with_state<Ballast>([] { return Ballast{}; });
  CHECK(stateful.map(with_ballast, numbers(300), apalis::batch_size(10)) == doubles(300));
  const auto workers = children();
  REQUIRE_FALSE(workers.empty());
  for (const pid_t pid : workers) {
    const Watched worker(pid);
    REQUIRE(worker.ends());
    const auto end = how_it_ended(pid);  // waits for its parent to look, without any memory
    CHECK(end.si_code == CLD_EXITED);
    CHECK(end.si_status == 0);
    CHECK_THAT(read_file("/proc/" + std::to_string(pid) + "/statm"), ContainsSubstring("0 0 0 0"));
  }
  CHECK(engine.pids().empty());
  CHECK(children().empty());
  CHECK(told.exits.size() == workers.size());
  CHECK(stateful.map(with_ballast, numbers(300), apalis::batch_size(10)) == doubles(300));
  for (const auto& worker : engine.report().workers) CHECK(worker.restarts == 0);
  told.check_peace();
}

TEST_CASE("the next use of an engine reaps the workers that have ended, whatever it is",
          "[engine]") {
  Told told;
  Engine engine{Backend::processes, told.options(2)};
  const auto use = GENERATE(0, 1, 2, 3, 4);
  CAPTURE(use);
  CHECK(engine.map(twice, numbers(100), apalis::batch_size(1)) == doubles(100));
  const auto workers = children();
  await_idle_end();
  switch (use) {
    case 0:
      engine.end_idle_workers();
      break;
    case 1:
      engine.close();
      break;
    case 2:
      engine.on_worker_stop([] {});
      break;
    case 3:
      CHECK(engine.map(twice, numbers(100), apalis::batch_size(1)) == doubles(100));
      break;
    default:
      (void)Engine{std::move(engine)};
  }
  for (const pid_t pid : workers) CHECK(::kill(pid, 0) == -1);
  CHECK(told.exits.size() >= workers.size());
  told.check_peace();
}

TEST_CASE("a worker that is idle for less than the limit, or has none, stays", "[engine]") {
  const auto limit = GENERATE(0ms, 1h, std::chrono::milliseconds::max());
  const Engine engine{Backend::processes, {.max_workers = 2, .idle_timeout = limit}};
  CHECK(engine.map(twice, numbers(100)) == doubles(100));
  const auto pids = engine.pids();
  REQUIRE_FALSE(pids.empty());
  for (const pid_t pid : pids) {
    const Watched worker(pid);
    CHECK_FALSE(worker.ends(100));
  }
  CHECK(engine.pids() == pids);
}

TEST_CASE("stop hooks run once in a worker that ends by itself", "[engine]") {
  SharedArray<int> started(1);
  SharedArray<int> stopped(1);
  Told told;
  {
    Engine engine{Backend::processes, told.options(3)};
    const auto count = [](SharedArray<int> n) { std::atomic_ref(n.data()[0]).fetch_add(1); };
    engine.on_worker_start(count, started);
    engine.on_worker_stop(count, stopped);
    for (int round = 0; round < 3; ++round) {
      CHECK(engine.map(twice, numbers(100), apalis::batch_size(1)) == doubles(100));
      await_idle_end();
      CHECK(started[0] == stopped[0]);
    }
    if (GENERATE(true, false)) engine.close();
  }
  CHECK(started[0] >= 3);
  CHECK(started[0] == stopped[0]);
  told.check_peace();
}

TEST_CASE("what a stop hook throws in a worker that ends by itself is told", "[engine]") {
  Told told;
  Engine engine{Backend::processes, told.options(2)};
  engine.on_worker_stop([] { throw std::domain_error("the hook's own words"); });
  CHECK(engine.map(twice, numbers(100), apalis::batch_size(1)) == doubles(100));
  const auto workers = children().size();
  await_idle_end();
  const bool closes = GENERATE(true, false);
  if (closes) {
    CHECK_NOTHROW(engine.close());
  } else {
    CHECK(engine.pids().empty());
  }
  REQUIRE(told.errors.size() == workers);
  for (const auto& error : told.errors)
    CHECK_THAT(error, ContainsSubstring("the hook's own words"));
  for (const auto& exit : told.exits) CHECK(exit.expected);
}

TEST_CASE("hooks that use the engine learn of workers that ended by themselves", "[engine]") {
  Engine* used = nullptr;
  int told = 0;
  EngineOptions options{.max_workers = 2, .idle_timeout = soon};
  options.on_worker_exit = [&](const apalis::WorkerExit&) {
    ++told;
    if (used != nullptr) (void)used->pids();
  };
  Engine engine{Backend::processes, options};
  used = &engine;
  CHECK(engine.map(twice, numbers(100)) == doubles(100));
  await_idle_end();
  CHECK(engine.map(twice, numbers(100)) == doubles(100));
  CHECK(told > 0);
  used = nullptr;
}

TEST_CASE("an imap whose items come late goes on with new workers", "[engine]") {
  const bool reaps = GENERATE(true, false);
  CAPTURE(reaps);
  Told told;
  const Engine engine{Backend::processes, told.options(2)};
  const std::string argument(100'000, 'a');  // in a frame, which ends with its worker
  SharedArray<pid_t> ran(20);
  const auto f = [](const int& state, int x, const std::string& text, SharedArray<pid_t> by) {
    if (std::atomic_ref(by.data()[static_cast<std::size_t>(x)]).exchange(::getpid()) != 0)
      throw std::logic_error("it is run twice");
    return state + x + static_cast<int>(text.size());
  };
  int next = 0;
  for (const int x :
       engine.with_state<int>([] { return 7; })
           .imap(f, rare_items(ran, reaps, engine), argument, ran, apalis::batch_size(1)))
    REQUIRE(x == next++ + 100'007);
  CHECK(next == 20);
  for (std::size_t i = 1; i < 20; ++i) CHECK(ran[i] != ran[i - 1]);
  CHECK(told.exits.size() >= 19);
  for (const auto& worker : engine.report().workers) CHECK(worker.restarts == 0);
  told.check_peace();
}

TEST_CASE("a group's runs that come late go on with new workers", "[task_group]") {
  Told told;
  const Engine engine{Backend::processes, told.options(2)};
  auto group = TaskGroup<int>::make(engine).value();
  for (int i = 0; i < 10; ++i) {
    group.run(twice, i);
    await_idle_end();
    if (i % 3 == 0) CHECK(group.size() == static_cast<std::size_t>(i) + 1);
  }
  CHECK(group.get(1min) == doubles(10));
  told.check_peace();
}

TEST_CASE("workers that leave as work comes cost no item, and none is run twice", "[engine]") {
  constexpr int count = 60;
  Told told;
  SharedArray<int> runs(count);
  const auto f = [](int x, SharedArray<int> run) {
    std::atomic_ref(run.data()[static_cast<std::size_t>(x)]).fetch_add(1);
    return 2 * x;
  };
  {
    Engine engine{Backend::processes, told.options(3, 1ms)};
    engine.on_worker_stop([] {});
    for (int round = 0; round < 100; ++round) {
      // About as long as a worker waits.
      const auto until =
          std::chrono::steady_clock::now() + std::chrono::microseconds{900 + 3 * round};
      while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
      switch (round % 4) {
        case 0:
          REQUIRE(engine.map(f, numbers(count), runs, apalis::batch_size(1)) == doubles(count));
          break;
        case 1: {
          int next = 0;
          for (const int x : engine.imap(f, numbers(count), runs)) REQUIRE(x == 2 * next++);
          REQUIRE(next == count);
          break;
        }
        case 2: {
          auto group = TaskGroup<int>::make(engine).value();
          for (int i = 0; i < count; ++i) group.run(f, i, runs);
          REQUIRE(group.get(1min) == doubles(count));
          break;
        }
        default:
          for (std::size_t i = 0; i < count; ++i) ++runs[i];
          if (round % 8 == 3) engine.close();
      }
      for (std::size_t i = 0; i < count; ++i) REQUIRE(runs[i] == round + 1);
    }
  }
  told.check_peace();
}

TEST_CASE("a worker that claims to leave during a call, and lives on, is ended", "[engine]") {
  Told told;
  auto options = told.options(2, 1h);
  options.close_timeout = 50ms;
  const Engine engine{Backend::processes, options};
  const bool retires = GENERATE(true, false);
  CAPTURE(retires);
  const auto lie = [](int x, bool by_message) {
    if (x != 7) return 2 * x;
    if (by_message) {
      claim_to_retire(own_slice());
    } else {
      apalis::detail::actor::current_call.control->child_bell.leaves.store(1);
    }
    for (;;) ::pause();
  };
  try {
    (void)engine.map(lie, numbers(20), retires, apalis::batch_size(1));
    FAIL("nothing was thrown");
  } catch (const apalis::MapError& error) {
    CHECK_THAT(error.what(), ContainsSubstring(retires ? "it had said that it retires"
                                                       : "did not end within close_timeout"));
  }
  CHECK(engine.map(lie, numbers(5), retires) == doubles(5));
}

TEST_CASE("a worker that claims to have left between calls, and lives on, is ended", "[engine]") {
  Told told;
  const Engine engine{Backend::processes, told.options(2, 1h)};
  const auto lie = [](int x) {
    // Once the reply to this call lies in its lane.
    std::thread([slice = own_slice(), own = next_reply(channel::SliceView::at(own_slice()))] {
      const auto view = channel::SliceView::at(slice);
      while (!channel::Head{view.replies.unit(own).head.load()}.is_at(own))
        std::this_thread::yield();
      claim_to_retire(slice);
      ::kill(::getpid(), SIGSTOP);  // and begins nothing
    }).detach();
    return 2 * x;
  };
  CHECK(engine.map(lie, numbers(1)) == doubles(1));
  for (const pid_t pid : children()) {
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT) == 0);
  }
  CHECK(engine.map(twice, numbers(100)) == doubles(100));
  CHECK(told.errors.empty());
}

TEST_CASE("workers that all claim to leave at once, and live on, do not keep a map", "[engine]") {
  Told told;
  auto options = told.options(2, 1h);
  options.close_timeout = 20ms;
  Engine engine{Backend::processes, options};
  const bool works = GENERATE(true, false);  // all the same
  engine.on_worker_start([works] {
    apalis::detail::actor::current_call.control->child_bell.leaves.store(1);
    while (!works) ::pause();
  });
  if (works) {
    CHECK(engine.map(twice, numbers(3)) == doubles(3));
  } else {
    CHECK_THROWS_AS(engine.map(twice, numbers(3)), apalis::Error);
  }
}
