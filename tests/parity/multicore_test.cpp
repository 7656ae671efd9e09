// SPDX-License-Identifier: BSL-1.0
// multicore 0.1.1: what its description shows and promises, sentence by sentence. Each case quotes
// the one that it answers.
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/gate.hpp"
#include "support/catch.hpp"

using apalis::Backend;
using apalis::Engine;
using apalis::TaskGroup;
using Catch::Matchers::ContainsSubstring;
using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;
using namespace std::chrono_literals;

namespace {

// "Note the scoping of the 'items' variable and the functions": file scope is where they are here,
// too, and each worker has them from the fork.
const std::vector<int> items = [] {
  std::vector<int> all;
  for (int i = 0; i < 100; ++i) all.push_back(i);
  return all;
}();

std::string as_string(int item) {
  return std::to_string(item);
}
std::string expensive_as_string(int item) {
  std::this_thread::sleep_for(1ms);  // the work of the example
  return std::to_string(item);
}
std::string join(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}
std::string multi_expensive_as_string(std::size_t start, std::size_t end) {
  std::vector<std::string> parts;
  for (; start < end; ++start) parts.push_back(expensive_as_string(items[start]));
  return join(parts, ",");
}

/// 0, 1, … 99
std::string all_items(const char* separator) {
  std::vector<std::string> parts;
  for (const int item : items) parts.push_back(as_string(item));
  return join(parts, separator);
}

/// initialize()
Engine initialize(int workers = 4) {
  return Engine{Backend::processes, {.max_workers = workers}};
}

int connection = 0;  // of this worker

}  // namespace

TEST_CASE("multicore: Example 1: trivial (and slightly pointless) usage", "[parity]") {
  const Engine engine = initialize();
  auto task = TaskGroup<std::string>::make(engine);
  for (int i = 0; i < 20; ++i) task->run(as_string, i);
  CHECK(join(task->get(), ", ") ==
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19");
}

TEST_CASE("multicore: Example 2: divide job optimally using ranges function", "[parity]") {
  const Engine engine = initialize();
  auto task = TaskGroup<std::string>::make(engine);
  for (const auto& [start, end] : apalis::ranges(items))
    task->run(multi_expensive_as_string, start, end);
  CHECK(join(task->get(), ",") == all_items(","));
}

TEST_CASE("multicore: If the ranges are too small then tasks aren't worth the effort", "[parity]") {
  const std::vector<int> users(80);
  CHECK(apalis::ranges(users, {.workers = 4}) == Pairs{{0, 20}, {20, 40}, {40, 60}, {60, 80}});
  CHECK(apalis::ranges(users, {.min_range_size = 30, .workers = 4}) ==
        Pairs{{0, 30}, {30, 60}, {60, 80}});
  CHECK(apalis::ranges(users, {.min_range_size = 100, .workers = 4}) == Pairs{{0, 80}});
}

TEST_CASE("initialize() \"Needs to be called only once for lifetime of process\"", "[parity]") {
  Engine engine = initialize(2);
  std::set<pid_t> workers;
  for (int i = 0; i < 5; ++i) {
    auto task = TaskGroup<pid_t>::make(engine);
    for (int k = 0; k < 4; ++k) task->run(&::getpid);
    for (const pid_t pid : task->get()) workers.insert(pid);
  }
  CHECK(workers.size() <= 2);
  CHECK(workers.count(::getpid()) == 0);
  engine.close();  // "Stop the multicore workers": shutdown()
  CHECK(engine.pids().empty());
  auto task = TaskGroup<std::string>::make(engine);  // gone: there, tasks are None from now on
  task->run(as_string, 5);
  CHECK(task->get() == std::vector<std::string>{"5"});
}

TEST_CASE("multicore: Persistent pool of workers enabling persistent database connections",
          "[parity]") {
  Engine engine = initialize(2);
  engine.on_worker_start([] { connection = static_cast<int>(::getpid()); });
  for (int round = 0; round < 3; ++round) {
    auto task = TaskGroup<bool>::make(engine);
    for (int i = 0; i < 10; ++i) task->run([] { return connection == ::getpid(); });
    CHECK(task->get() == std::vector<bool>(10, true));
  }
  CHECK(connection == 0);
}

TEST_CASE("multicore: If the load average … is larger than a defined threshold then None is returned",
          "[parity]") {
  const Engine engine = initialize();
  const auto multi_as_string = [&](double max_load_average) {
    if (auto task = TaskGroup<std::string>::make(engine, {.max_load_average = max_load_average})) {
      for (const int item : items) task->run(as_string, item);
      return join(task->get(), ",");
    }
    return all_items(",");  // "your code must cater for the sequential code path"
  };
  for (const double limit : {0.0, 0.8, 1e9}) CHECK(multi_as_string(limit) == all_items(","));
  CHECK(TaskGroup<int>::make(engine, {.max_load_average = 1e9}));
}

TEST_CASE("multicore: Will it try to execute hundreds of pieces of code in parallel? No.",
          "[parity]") {
  const Engine engine = initialize(3);
  auto task = TaskGroup<std::string>::make(engine);
  for (int i = 0; i < 300; ++i) task->run(expensive_as_string, i);
  CHECK(engine.pids().size() <= 3);
  CHECK(task->get().size() == 300);
}

TEST_CASE("gone: no more than 8 runs for each core", "[parity]") {
  const Engine engine = initialize(2);
  auto task = TaskGroup<std::string>::make(engine);
  for (int i = 0; i < 1000; ++i) task->run(as_string, i);
  CHECK(task->get()[999] == "999");
}

TEST_CASE("gone: \"The memory map is too small for my data structures\"", "[parity]") {
  const Engine engine = initialize(2);
  auto task = TaskGroup<std::string>::make(engine);
  const std::string large(10'000'000, 'x');  // there: 10 kB of arguments, 100 kB of results
  task->run([](const std::string& text) { return text + "y"; }, large);
  CHECK(task->get()[0] == large + "y");
}

TEST_CASE("dill \"can often pickle things that can't be pickled by the standard pickler\"",
          "[parity]") {
  const Engine engine = initialize(2);
  auto task = TaskGroup<int>::make(engine);
  const int offset = 5;
  task->run(apalis::by_value([offset](int x) { return x + offset; }), 1);
  CHECK_THROWS_WITH(task->run([text = std::string("x")] { return 1; }),
                    ContainsSubstring("as arguments of run()"));
  CHECK(task->get() == std::vector{6});
}

TEST_CASE("multicore: Guard against attempting to re-use a completed task", "[parity]") {
  const Engine engine = initialize(2);
  auto task = TaskGroup<std::string>::make(engine);
  task->run(as_string, 1);
  (void)task->get();
  CHECK_THROWS_AS(task->run(as_string, 2), apalis::Error);  // there: TaskCompleteError
  CHECK_THROWS_AS(task->get(), apalis::Error);
}

TEST_CASE("task.get(timeout=10), and an exception with where it was thrown", "[parity]") {
  const Engine engine = initialize(2);
  Gate gate;
  auto task = TaskGroup<int>::make(engine);
  task->run(apalis::by_value([gate = &gate] {
    gate->pass();
    return 1;
  }));
  CHECK_THROWS_WITH(task->get(10ms), ContainsSubstring("run 0"));  // there: it is lost then
  gate.open();
  CHECK(task->get(10s) == std::vector{1});

  auto fails = TaskGroup<int>::make(engine);
  fails->run([]() -> int { throw std::out_of_range("no such user"); });
  try {
    (void)fails->get();
    FAIL("nothing was thrown");
  } catch (const apalis::BatchError& error) {
    CHECK_THROWS_AS(error.outcomes<int>()[0].value(), std::out_of_range);
    CHECK_THROWS_AS(error.outcomes<int>()[0].value(), apalis::RemoteError);
    CHECK_THAT(error.what(), ContainsSubstring("no such user"));
  }
}
