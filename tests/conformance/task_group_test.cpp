// SPDX-License-Identifier: BSL-1.0
// Groups of tasks: what can be run, what comes back and when.
#include <unistd.h>

#include <apalis/by_value.hpp>
#include <apalis/load_guard.hpp>
#include <apalis/ranges.hpp>
#include <apalis/ref.hpp>
#include <apalis/shared_array.hpp>
#include <apalis/task_group.hpp>
#include <atomic>
#include <cereal/types/string.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engines.hpp"
#include "gate.hpp"

using apalis::BatchError;
using apalis::Engine;
using apalis::Error;
using apalis::TaskGroup;
using apalis::TimedOut;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

template <class R>
TaskGroup<R> group_of(const Engine& engine) {
  return TaskGroup<R>::make(engine).value();
}

int twice(int x) {
  return 2 * x;
}
int refuse(int x) {
  throw std::invalid_argument("no " + std::to_string(x));
}
std::string join(const std::string& a, std::string_view b, char c) {
  return a + std::string(b) + c;
}
void nothing(int /*x*/) {}

/// Crosses by its own function.
struct Power {
  int exponent = 1;
  int operator()(int x) const {
    int result = 1;
    for (int i = 0; i < exponent; ++i) result *= x;
    return result;
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(exponent);
  }
};

std::atomic<int> connections{0};  // of this worker; threads share it

}  // namespace

TEST_CASE("get gives the results in the order of the runs", "[task_group]") {
  const auto kind = each_engine();
  const auto count = GENERATE(0, 1, 2, 7, 200);
  CAPTURE(kind, count);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  for (int i = 0; i < count; ++i) group.run(twice, i);
  CHECK(group.size() == static_cast<std::size_t>(count));
  CHECK_FALSE(group.finished());
  const std::vector<int> results = group.get();
  CHECK(group.finished());
  REQUIRE(results.size() == static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) REQUIRE(results[static_cast<std::size_t>(i)] == 2 * i);
}

TEST_CASE("there may be ten thousand runs in a group", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  for (int i = 0; i < 10'000; ++i) group.run(twice, i);
  const auto results = group.get(1min);
  CHECK(std::accumulate(results.begin(), results.end(), 0L) == 9'999L * 10'000);
}

TEST_CASE("any callable is a task", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  auto* const pointer = &twice;
  group.run(twice, 1);
  group.run(pointer, 2);
  group.run(&twice, 3);
  group.run([](int x) { return x + 1; }, 3);
  group.run([](const auto& a, auto b) { return static_cast<int>(a.size()) + b; }, "four", 1);
  group.run(Power{2}, 4);
  group.run(apalis::by_value([k = 3](int x) { return k * x; }), 6);
  group.run([] { return 7; });
  CHECK(group.get() == std::vector{2, 4, 6, 4, 5, 16, 18, 7});
  CHECK_THROWS_AS(group_of<int>(engine).run(static_cast<int (*)(int)>(nullptr), 1), Error);
}

TEST_CASE("a closure with captures is a task where memory is shared", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<std::string>(engine);
  const std::string text = "captured";
  auto unsendable = std::make_unique<int>(5);
  const std::function<std::string()> function = [&] { return text; };
  if (kind.backend == apalis::Backend::processes && !runs_here(kind)) {
    CHECK_THROWS_WITH(group.run([text] { return text; }),
                      ContainsSubstring("as arguments of run()") &&
                          ContainsSubstring("apalis::by_value()") &&
                          ContainsSubstring("Engine::map()"));
    CHECK_THROWS_AS(group.run(function), Error);
    group.run([](std::string t) { return t; }, text);  // as if nothing had happened
    CHECK(group.get() == std::vector{text});
    return;
  }
  group.run([&text] { return text; });
  group.run([kept = std::move(unsendable)] { return std::to_string(*kept); });
  group.run(function);
  CHECK(group.get() == std::vector<std::string>{"captured", "5", "captured"});
}

TEST_CASE("a task's results become those of its group", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  SECTION("as far as they convert") {
    auto group = group_of<std::string>(engine);
    group.run([] { return "a literal"; });
    group.run(join, "a", std::string("b"), 'c');
    CHECK(group.get() == std::vector<std::string>{"a literal", "abc"});
    auto reals = group_of<double>(engine);
    reals.run(twice, 4);
    reals.run([](double x) { return x / 2; }, 1);
    CHECK(reals.get() == std::vector{8.0, 0.5});
  }
  SECTION("void drops them") {
    auto group = group_of<void>(engine);
    group.run(twice, 4);
    group.run(nothing, 4);
    static_assert(std::is_void_v<decltype(group.get())>);
    group.get();
    CHECK(group.finished());
  }
  SECTION("bools") {
    auto group = group_of<bool>(engine);
    group.run([](int x) { return x > 3; }, 4);
    group.run([](int x) { return x > 3; }, 3);
    CHECK(group.get() == std::vector{true, false});
  }
  SECTION("what only moves") {
    auto group = group_of<std::unique_ptr<int>>(engine);
    group.run([](std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); },
              std::make_unique<int>(41));
    CHECK(*group.get()[0] == 42);
  }
}

TEST_CASE("arguments of any size and kind go to a task", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<double>(engine);
  const auto table = apalis::put(std::vector<double>(1000, 0.5));
  apalis::SharedArray<double> array(10);
  {
    const std::vector<double> large(300'000, 1.0);  // ends before get()
    for (int i = 0; i < 4; ++i)
      group.run(
          [](std::span<const double> xs) { return std::accumulate(xs.begin(), xs.end(), 0.0); },
          large);
  }
  group.run([](const std::vector<double>& xs) { return xs[999]; }, table);
  group.run([](std::span<double> xs) { return xs[3] = 7; }, array);
  CHECK(group.get() == std::vector{3e5, 3e5, 3e5, 3e5, 0.5, 7.0});
  CHECK(array[3] == 7);
  auto back = group_of<std::vector<int>>(engine);
  back.run([](std::size_t n) { return std::vector<int>(n, 3); }, 500'000);
  CHECK(back.get()[0] == std::vector<int>(500'000, 3));
}

TEST_CASE("a group that has finished refuses more", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  group.run(twice, 1);
  (void)group.get();
  CHECK_THROWS_WITH(group.run(twice, 2), ContainsSubstring("has finished"));
  CHECK_THROWS_WITH(group.get(), ContainsSubstring("has finished"));
  CHECK_THROWS_AS(group.get(1s), Error);
  CHECK(group.size() == 1);
  const auto moved = std::move(group);
  CHECK_THROWS_WITH(group.size(),
                    ContainsSubstring("moved from"));  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("the runs of a group that fail are all named", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  for (int i = 0; i < 6; ++i) {
    if (i == 1 || i == 4) {
      group.run(refuse, i);
    } else {
      group.run(twice, i);
    }
  }
  try {
    (void)group.get();
    FAIL("no error");
  } catch (const BatchError& error) {
    CHECK_THAT(error.what(), ContainsSubstring("2 of 6 runs") &&
                                 ContainsSubstring("run 1, int (*)(int): no 1") &&
                                 ContainsSubstring("run 4, int (*)(int): no 4"));
    CHECK(error.failures() == 2);
    const auto& outcomes = error.outcomes<int>();
    REQUIRE(outcomes.size() == 6);
    CHECK(outcomes[5].value() == 10);
    CHECK_THROWS_AS(outcomes[4].value(), std::invalid_argument);
  }
  CHECK(group.finished());
  auto many = group_of<void>(engine);
  for (int i = 0; i < 100; ++i) many.run(refuse, i);
  CHECK_THROWS_WITH(many.get(), ContainsSubstring("100 of 100") && ContainsSubstring("no 19") &&
                                    ContainsSubstring("; and runs 20 to 99"));
  auto next = group_of<int>(engine);  // the workers are well
  next.run(twice, 2);
  CHECK(next.get() == std::vector{4});
}

TEST_CASE("a time-out says which runs are missing, and get may be called again", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  Gate gate;
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  const auto pass = apalis::by_value([gate = &gate](int x) {
    gate->pass_unbounded();
    return x;
  });
  if (runs_here(kind)) {
    gate.open();
    group.run(pass, 1);
    CHECK(group.get(0s) == std::vector{1});
    return;
  }
  group.run(twice, 0);
  for (int i = 1; i < 8; ++i) group.run(pass, i);
  CHECK_THROWS_AS(group.get(0s), TimedOut);
  CHECK_THROWS_WITH(group.get(100ms), ContainsSubstring("7 of 8 runs") &&
                                          ContainsSubstring("0.1") &&
                                          ContainsSubstring("runs 1 to 7;"));
  CHECK(group.missing() == std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7});
  group.run(twice, 4);
  for (int i = 1; i < 8; ++i) gate.open();
  CHECK(group.get(1min) == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(group.missing().empty());
}

TEST_CASE("runs of a group are side by side", "[task_group]") {
  const auto backend = each_backend();
  if (backend == apalis::Backend::serial) return;
  CAPTURE(backend);
  Gate entered;
  Gate leave;
  const Engine engine{backend, {.max_workers = 3}};
  auto group = group_of<pid_t>(engine);
  for (int i = 0; i < 3; ++i)
    group.run(apalis::by_value([entered = &entered, leave = &leave] {
      entered->open();
      leave->pass();
      return ::getpid();
    }));
  for (int i = 0; i < 3; ++i) entered.pass();  // they began before get()
  for (int i = 0; i < 3; ++i) leave.open();
  const auto pids = group.get();
  if (backend == apalis::Backend::processes)
    CHECK(std::set<pid_t>(pids.begin(), pids.end()).size() == 3);
}

TEST_CASE("the end of a group cancels what was not begun", "[task_group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Gate entered;
  Gate leave;
  apalis::SharedArray<int> ran(1);
  const Engine engine{backend, {.max_workers = 2}};
  if (backend == apalis::Backend::serial) {
    auto group = group_of<void>(engine);
    group.run([](std::span<int> counter) { ++counter[0]; }, ran);
    CHECK(ran[0] == 1);  // at once
    return;
  }
  {
    auto group = group_of<void>(engine);
    for (int i = 0; i < 2; ++i)
      group.run(apalis::by_value([entered = &entered, leave = &leave] {
        entered->open();
        leave->pass();
      }));
    for (int i = 0; i < 2; ++i) entered.pass();
    for (int i = 0; i < 50; ++i)
      group.run([](std::span<int> counter) { std::atomic_ref(counter[0]).fetch_add(1); }, ran);
    for (int i = 0; i < 2; ++i) leave.open();
  }
  auto next = group_of<int>(engine);  // behind what its workers had
  for (int i = 0; i < 4; ++i) next.run(twice, i);
  (void)next.get();
  CHECK(ran[0] <= 4);  // what a worker had been sent may have begun in between
}

TEST_CASE("a run that its group left behind does not hold up the next group", "[task_group]") {
  Gate entered;
  Gate leave;
  const Engine engine{apalis::Backend::processes, {.max_workers = 2}};
  {
    auto group = group_of<void>(engine);
    group.run(apalis::by_value([entered = &entered, leave = &leave] {
      entered->open();
      leave->pass_unbounded();
    }));
    entered.pass();
  }
  for (int round = 0; round < 2; ++round) {
    auto next = group_of<int>(engine);
    for (int i = 0; i < 20; ++i) next.run(twice, i);
    CHECK(next.get(1min)[19] == 38);
    if (round == 0) leave.open();
  }
}

TEST_CASE("workers keep their state between groups", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  connections = 0;
  Engine engine = make_engine(kind);
  engine.on_worker_start([](int first) { connections += first; }, 100);
  std::set<pid_t> pids;
  for (int round = 0; round < 3; ++round) {
    auto group = group_of<pid_t>(engine);
    for (int i = 0; i < 20; ++i)
      group.run([] {
        if (connections < 100) throw std::logic_error("not connected");
        return ::getpid();
      });
    for (const pid_t pid : group.get()) pids.insert(pid);
  }
  CHECK(pids.size() <= static_cast<std::size_t>(kind.workers));
}

TEST_CASE("a worker that can't start fails its runs", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  Engine engine{kind.backend, {.max_workers = kind.workers, .on_error = [](std::exception_ptr) {}}};
  engine.on_worker_start([] { throw std::runtime_error("no connection"); });
  auto group = group_of<int>(engine);
  CHECK_THROWS_WITH(
      [&] {
        group.run(twice, 1);
        (void)group.get();
      }(),
      ContainsSubstring("no connection"));
}

TEST_CASE("a busy machine has no group", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  CHECK_THROWS_AS(TaskGroup<int>::make(engine, {.max_load_average = -1}), Error);
  CHECK(TaskGroup<int>::make(engine, {.max_load_average = 1e9}).has_value());
  CHECK(TaskGroup<int>::make(engine).has_value());
}

TEST_CASE("a group outlives its engine", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  auto engine = std::make_unique<Engine>(make_engine(kind));
  auto group = group_of<int>(*engine);
  group.run(twice, 1);
  engine.reset();
  group.run(twice, 2);
  CHECK(group.get() == std::vector{2, 4});
}

TEST_CASE("a group goes on when its engine's workers were ended", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  for (int i = 0; i < 20; ++i) group.run(twice, i);
  engine.close();
  for (int i = 20; i < 40; ++i) group.run(twice, i);
  engine.close();
  const auto results = group.get();
  REQUIRE(results.size() == 40);
  for (int i = 0; i < 40; ++i) CHECK(results[static_cast<std::size_t>(i)] == 2 * i);
}

TEST_CASE("groups and maps share an engine's workers", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto first = group_of<int>(engine);
  auto second = group_of<int>(engine);
  for (int i = 0; i < 10; ++i) {
    first.run(twice, i);
    second.run(twice, -i);
  }
  CHECK(engine.map(twice, std::vector{1, 2, 3}) == std::vector{2, 4, 6});
  CHECK(second.get()[9] == -18);
  CHECK(first.get()[9] == 18);
}

TEST_CASE("a group inside a task runs in its worker", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<int>(engine);
  for (int i = 0; i < 5; ++i)
    group.run(
        [](int x) {
          const Engine nested{apalis::Backend::threads, {.max_workers = 3}};
          auto inner = group_of<int>(nested);
          for (int k = 0; k < 3; ++k) inner.run(twice, x);
          const auto results = inner.get();
          return results[0] + results[1] + results[2];
        },
        i);
  CHECK(group.get() == std::vector{0, 6, 12, 18, 24});
}

TEST_CASE("ranges and a group share a loop", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = group_of<std::string>(engine);
  for (const auto& [first, last] : apalis::ranges(10, {.workers = 3}))
    group.run(
        [](std::size_t from, std::size_t to) {
          std::string text;
          for (; from < to; ++from) text += std::to_string(from);
          return text;
        },
        first, last);
  std::string all;
  for (const auto& part : group.get()) all += part;
  CHECK(all == "0123456789");
}

TEST_CASE("a map in batches of a given size uses all workers", "[engine]") {
  const auto backend = each_backend();
  if (backend == apalis::Backend::serial) return;
  CAPTURE(backend);
  Gate entered;
  Gate leave;
  const Engine engine{backend, {.max_workers = 2}};
  const auto meet = apalis::by_value([entered = &entered, leave = &leave](int x) {
    leave->open();  // each lets the other one go on
    entered->open();
    leave->pass();
    return x;
  });
  CHECK(engine.map(meet, std::vector{1, 2}, apalis::batch_size(1)) == std::vector{1, 2});
}
