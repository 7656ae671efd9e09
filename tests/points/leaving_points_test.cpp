// SPDX-License-Identifier: BSL-1.0
// A worker of an engine has looked for requests for the last time, and is stopped or killed there,
// while its parent sends it something.
#include <signal.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "../conformance/gate.hpp"
#include "../fault/host.hpp"
#include "support/catch.hpp"

using apalis::Backend;
using apalis::Engine;
using apalis::EngineOptions;
using apalis::SharedArray;
using apalis::TaskGroup;
using apalis::detail::Point;
using namespace std::chrono_literals;

namespace {

/// Holds each worker that leaves, until it may.
///
/// **Owns** the hook of this process and of those that it forks. One at a time.
class Exit {
 public:
  Exit() {
    now_ = this;
    apalis::detail::on_protocol_point = [](Point point) noexcept { now_->arrive(point); };
  }
  ~Exit() {
    apalis::detail::on_protocol_point = nullptr;
    now_ = nullptr;
  }
  Exit(const Exit&) = delete;
  Exit& operator=(const Exit&) = delete;

  Gate reached;  // a worker is at the point
  Gate left;     // and may go on
  /// The parent lets one go as soon as it has sent something.
  bool opens_at_sending = false;
  bool kills = false;
  /// Nobody sees that a worker leaves: as if it had decided to at the last moment.
  bool hides = false;

 private:
  void arrive(Point point) noexcept {
    if (::getpid() == parent_) {
      if (point == Point::parent_sent && opens_at_sending) left.open();
      return;
    }
    if (point != Point::child_leaving) return;
    if (hides) apalis::detail::actor::current_call.control->child_bell.leaves.store(0);
    reached.open();
    left.pass_unbounded();
    if (kills) ::kill(::getpid(), SIGKILL);
  }

  static Exit* now_;
  const pid_t parent_ = ::getpid();
};

Exit* Exit::now_ = nullptr;

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

int run_once(int x, SharedArray<int> runs) {
  if (std::atomic_ref(runs.data()[static_cast<std::size_t>(x)]).fetch_add(1) != 0) return -1;
  return x;
}

struct Told {
  std::vector<apalis::WorkerExit> exits;
  std::vector<std::string> errors;

  EngineOptions options() {
    EngineOptions options{.max_workers = 2, .idle_timeout = 20ms};
    options.on_worker_exit = [this](const apalis::WorkerExit& exit) { exits.push_back(exit); };
    options.on_error = [this](const std::exception_ptr& error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        errors.emplace_back(e.what());
      }
    };
    return options;
  }
};

enum class Way { map, imap, group };

void use(Engine& engine, Way way, SharedArray<int> runs) {
  const auto items = numbers(static_cast<int>(runs.size()));
  switch (way) {
    case Way::map:
      CHECK(engine.map(run_once, items, runs, apalis::batch_size(1)) == items);
      break;
    case Way::imap: {
      int next = 0;
      for (const int x : engine.imap(run_once, items, runs)) CHECK(x == next++);
      CHECK(next == static_cast<int>(items.size()));
      break;
    }
    case Way::group: {
      auto group = TaskGroup<int>::make(engine).value();
      for (const int x : items) group.run(run_once, x, runs);
      CHECK(group.get(1min) == items);
      break;
    }
  }
  for (const int count : runs) CHECK(count == 1);
}

}  // namespace

TEST_CASE("what comes as a worker leaves is run by another one, once", "[points]") {
  const auto way = GENERATE(Way::map, Way::imap, Way::group);
  const bool hides = GENERATE(true, false);
  const bool kills = GENERATE(true, false);
  CAPTURE(static_cast<int>(way), hides, kills);
  Exit exit;
  exit.hides = hides;
  exit.kills = kills;
  Told told;
  Gate stopped;
  {
    Engine engine{Backend::processes, told.options()};
    engine.on_worker_stop([&stopped] { stopped.open(); });
    CHECK(engine.map(run_once, numbers(1), SharedArray<int>(1)) == numbers(1));
    exit.reached.pass();
    exit.opens_at_sending = true;  // if it still thinks that it has a worker
    use(engine, way, SharedArray<int>(50));
    for (int i = 0; i < 8; ++i) exit.left.open();
    exit.opens_at_sending = false;
  }
  if (kills) return;
  CHECK(told.errors.empty());
  int stops = 0;
  while (stopped.pass_within(0ms)) ++stops;
  CHECK(stops == static_cast<int>(told.exits.size()));
  for (const auto& end : told.exits) {
    CHECK(end.expected);
    CHECK(end.error == nullptr);
    CHECK(end.status == 0);
  }
}

TEST_CASE("an engine that is closed as a worker leaves runs its stop hook once", "[points]") {
  const bool throws = GENERATE(true, false);
  const bool closes = GENERATE(true, false);
  CAPTURE(throws, closes);
  Exit exit;
  Told told;
  Gate stopped;
  {
    Engine engine{Backend::processes, told.options()};
    engine.on_worker_stop([&stopped, throws] {
      stopped.open();
      if (throws) throw std::domain_error("the hook's own words");
    });
    CHECK(engine.map(run_once, numbers(1), SharedArray<int>(1)) == numbers(1));
    exit.reached.pass();
    exit.opens_at_sending = true;  // the parent asks for the hook
    if (closes) CHECK_NOTHROW(engine.close());
  }
  CHECK(stopped.pass_within(0ms));
  CHECK_FALSE(stopped.pass_within(0ms));
  REQUIRE(told.exits.size() == 1);
  CHECK(told.exits[0].expected);
  CHECK(told.errors.size() == (throws ? 1 : 0));
}

TEST_CASE("an engine without stop hooks that is closed as a worker leaves ends", "[points]") {
  Exit exit;
  Told told;
  {
    Engine engine{Backend::processes, told.options()};
    CHECK(engine.map(run_once, numbers(1), SharedArray<int>(1)) == numbers(1));
    exit.reached.pass();
    exit.left.open();
    if (GENERATE(true, false)) CHECK_NOTHROW(engine.close());
  }
  REQUIRE(told.exits.size() == 1);
  CHECK(told.exits[0].expected);
  CHECK(told.errors.empty());
}

TEST_CASE("a worker whose stop hook takes long keeps nobody waiting", "[points]") {
  Told told;
  Gate entered;
  Gate leave;
  {
    Engine engine{Backend::processes, told.options()};
    engine.on_worker_stop([&] {
      entered.open();
      leave.pass_unbounded();
    });
    CHECK(engine.map(run_once, numbers(1), SharedArray<int>(1)) == numbers(1));
    entered.pass();
    use(engine, Way::map, SharedArray<int>(50));
    for (int i = 0; i < 100; ++i) leave.open();
  }
  for (const auto& end : told.exits) CHECK(end.expected);
  CHECK(told.errors.empty());
}

TEST_CASE("a worker whose stop hook does not end is ended after close_timeout", "[points]") {
  Told told;
  Gate entered;
  auto options = told.options();
  options.close_timeout = 100ms;
  Engine engine{Backend::processes, options};
  engine.on_worker_stop([&] {
    entered.open();
    for (;;) ::pause();
  });
  CHECK(engine.map(run_once, numbers(1), SharedArray<int>(1)) == numbers(1));
  entered.pass();
  const auto end = std::chrono::steady_clock::now() + 1min;
  while (told.exits.empty() && std::chrono::steady_clock::now() < end) engine.end_idle_workers();
  REQUIRE(told.exits.size() == 1);
  CHECK_FALSE(told.exits[0].expected);
  CHECK(children().empty());
}
