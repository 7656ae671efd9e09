// SPDX-License-Identifier: BSL-1.0
// Registered backends behave as what they are based on, and prepare their workers.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <cstddef>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "support/thread_pool.hpp"

using apalis::Backend;
using apalis::Engine;
using apalis::Handler;
using apalis::TaskGroup;
using apalis::test::ThreadPool;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;

namespace {

/// How often this thread was prepared: in a child, its only one.
thread_local int prepared = 0;
thread_local int started = 0;

constexpr rlim_t file_limit = 500;

void limit_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("getrlimit");
  limit.rlim_cur = file_limit;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("setrlimit");
  ++prepared;
}
void count_up() {
  ++prepared;
}
[[noreturn]] void fail_to_prepare() {
  throw std::out_of_range("no such namespace");
}

/// Lends its threads to the workers of "pooled", for as long as a case lasts.
ThreadPool* lender = nullptr;

struct Kinds {
  Backend limited = apalis::register_backend("limited", {.prepare_worker = &limit_files});
  Backend pooled = apalis::register_backend(
      "pooled", {.base = Backend::threads,
                 .prepare_worker = &count_up,
                 .launch = [](std::function<void()> body) { lender->submit(std::move(body)); }});
  Backend own_threads = apalis::register_backend(
      "own threads", {.base = Backend::threads, .prepare_worker = &count_up});
  Backend prepared_serial = apalis::register_backend(
      "prepared serial", {.base = Backend::serial, .prepare_worker = &count_up});

  // On top of these: the base's hook runs, then this one's.
  Backend broken_processes = apalis::register_backend(
      "broken processes", {.base = limited, .prepare_worker = &fail_to_prepare});
  Backend broken_threads = apalis::register_backend(
      "broken threads", {.base = pooled, .prepare_worker = &fail_to_prepare});
  Backend broken_serial = apalis::register_backend(
      "broken serial", {.base = prepared_serial, .prepare_worker = &fail_to_prepare});
};
const Kinds& kinds() {
  static const Kinds all;
  return all;
}

/// Generates a backend of each base.
Backend each_custom() {
  return GENERATE(kinds().limited, kinds().pooled, kinds().own_threads, kinds().prepared_serial);
}
Backend each_broken() {
  return GENERATE(kinds().broken_processes, kinds().broken_threads, kinds().broken_serial);
}

Backend base_of(Backend backend) {
  if (capabilities(backend).isolates) return Backend::processes;
  return backend == kinds().prepared_serial || backend == kinds().broken_serial ? Backend::serial
                                                                                : Backend::threads;
}

/// The threads that "pooled" needs, and a clean slate for those that run in the caller.
struct Stage {
  explicit Stage(Backend backend) : pool(base_of(backend) == Backend::threads ? 8 : 0) {
    lender = &pool;
    prepared = started = 0;
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() { lender = nullptr; }
  ThreadPool pool;
};

struct Probe {
  int made_when_prepared = prepared;
  int total = 0;

  int add(int x) { return total += x; }
  int prepared_now() const { return prepared; }
  int started_after() const { return started; }
  void fill(std::span<double> values) { std::ranges::fill(values, 7.0); }
  void refuse() { throw std::invalid_argument("refused"); }
};

struct Where {
  pid_t pid = 0;
  std::size_t thread = 0;
  int prepared = 0;
};
Where where(int /*item*/) {
  return {::getpid(), std::hash<std::thread::id>{}(std::this_thread::get_id()), prepared};
}
int twice(int x) {
  return 2 * x;
}
int sum_of(int item, const std::vector<int>& table) {
  return std::accumulate(table.begin(), table.end(), item);
}

std::vector<int> first_numbers(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

TEST_CASE("a handler on a registered backend is prepared before its object is made", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  auto options = options_for(backend);
  options.on_worker_start = [] { started = prepared; };
  Handler<Probe> h{options, std::in_place};
  CHECK(h.backend() == backend);
  CHECK(h.get(&Probe::made_when_prepared).get() == 1);
  CHECK(h.call(&Probe::started_after).get() == 1);
  for (int i = 1; i <= 100; ++i) h.post(&Probe::add, 1);
  CHECK(h.call(&Probe::add, 5).get() == 105);
  CHECK_THROWS_AS(h.call(&Probe::refuse).get(), std::invalid_argument);
  CHECK((h.pid() == ::getpid()) == (base_of(backend) != Backend::processes));
  if (base_of(backend) == Backend::processes) CHECK(prepared == 0);
  h.close();
  CHECK_FALSE(h.alive());
}

TEST_CASE("a hook limits the workers and not the caller", "[custom]") {
  Handler<Probe> h{options_for(kinds().limited), std::in_place};
  const auto limit = [](Probe&) {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    return static_cast<unsigned long>(now.rlim_cur);
  };
  CHECK(h.call(limit).get() == file_limit);
  rlimit here{};
  ::getrlimit(RLIMIT_NOFILE, &here);
  CHECK(here.rlim_cur != file_limit);
}

TEST_CASE("carried objects, arrays and references reach registered backends", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  Handler<Probe> h{options_for(backend), apalis::carry, Probe{.made_when_prepared = 9, .total = 1}};
  CHECK(h.get(&Probe::made_when_prepared).get() == 9);
  apalis::SharedArray<double> values(1000);
  h.call(&Probe::fill, values).get();
  CHECK(std::ranges::all_of(values, [](double x) { return x == 7.0; }));
  const auto table = apalis::put(std::vector<int>{1, 2, 3});
  CHECK(h.call([](Probe&, const std::vector<int>& all) { return all.size(); }, table).get() == 3);
}

TEST_CASE("a group on a registered backend", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  apalis::GroupHandler<Probe> g{{.workers = 3, .backend = backend}, std::in_place, 7};
  CHECK(g.map(&Probe::add, 2) == std::vector<int>(7, 2));
  const auto seen = g.map(&Probe::prepared_now);
  // The caller stands in for three workers.
  CHECK(seen == std::vector<int>(7, base_of(backend) == Backend::serial ? 3 : 1));
  g[4].post(&Probe::add, 10);
  CHECK(g[4].call(&Probe::add, 1).get() == 13);
}

TEST_CASE("maps run on the workers of a registered backend, even on one", "[custom]") {
  const auto backend = each_custom();
  const auto workers = GENERATE(1, 3);
  CAPTURE(backend, workers);
  const Stage stage{backend};
  const Engine engine{backend, {.max_workers = workers}};
  const auto items = first_numbers(200);
  std::vector<int> doubled = engine.map(twice, items);
  CHECK(std::ranges::equal(doubled, items, {}, {}, [](int x) { return 2 * x; }));
  CHECK(engine.report().items == 200);

  const Where here = where(0);
  for (const auto& there : engine.map(where, items, apalis::batch_size(10))) {
    CHECK(there.prepared == 1);
    CHECK((there.pid != here.pid) == (base_of(backend) == Backend::processes));
    CHECK((there.thread != here.thread || there.pid != here.pid) ==
          (base_of(backend) != Backend::serial));
  }
  if (base_of(backend) != Backend::serial) CHECK(prepared == 0);

  const int offset = workers;  // a capture: carried where that is needed
  const auto shifted = engine.map([&offset](int x) { return x + offset; }, items);
  CHECK(shifted.front() == workers);
  CHECK(shifted.back() == 199 + workers);
  CHECK(engine.map(sum_of, items, apalis::put(std::vector<int>{1, 2})).back() == 202);
  CHECK(engine.map_reduce(twice, std::plus<>{}, 0, items) == 200 * 199);
  int sum = 0;
  for (int& x : engine.imap(twice, items)) sum += x;
  CHECK(sum == 200 * 199);
}

TEST_CASE("a map on a registered backend names the item that failed", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  const Engine engine{backend, {.max_workers = 2}};
  const auto refuse_13 = [](int x) {
    if (x == 13) throw std::out_of_range("thirteen");
    return x;
  };
  CHECK_THROWS_WITH(engine.map(refuse_13, first_numbers(40)), ContainsSubstring("item 13"));
  CHECK(engine.map(twice, first_numbers(3)) == std::vector<int>{0, 2, 4});
}

TEST_CASE("tasks on a registered backend take captures as those of its base do", "[custom]") {
  const auto backend = each_custom();
  const auto workers = GENERATE(1, 2);
  CAPTURE(backend, workers);
  const Stage stage{backend};
  const Engine engine{backend, {.max_workers = workers}};
  auto group = TaskGroup<int>::make(engine).value();
  for (int i = 0; i < 20; ++i) group.run(twice, i);
  int captured = 100;
  if (base_of(backend) == Backend::processes) {
    CHECK_THROWS_WITH(group.run([&captured] { return captured; }), ContainsSubstring("captures"));
    captured = -1;
    group.run(twice, 50);
  } else {
    group.run([&captured] { return std::exchange(captured, -1); });
  }
  auto results = group.get();
  CHECK(results.back() == 100);
  CHECK(results[19] == 38);
  CHECK(captured == -1);
}

TEST_CASE("every call fails with what prepare_worker threw", "[custom]") {
  const auto backend = each_broken();
  CAPTURE(backend);
  const Stage stage{backend};
  {
    Handler<Probe> h{options_for(backend), std::in_place};
    for (int i = 0; i < 2; ++i) CHECK_THROWS_AS(h.call(&Probe::add, 1).get(), std::out_of_range);
    h.post(&Probe::add, 1);
    CHECK_THROWS_AS(h.drain(), apalis::PostError);
  }
  apalis::GroupHandler<Probe> g{{.workers = 2, .backend = backend}, std::in_place, 4};
  CHECK_THROWS_WITH(g.map(&Probe::add, 1), ContainsSubstring("no such namespace"));
  const Engine engine{backend, {.max_workers = 2}};
  CHECK_THROWS_WITH(engine.map(twice, first_numbers(5)), ContainsSubstring("no such namespace"));
}

TEST_CASE("a map within a map runs where it is called", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  const Engine engine{backend, {.max_workers = 2}};
  const auto nested = [](int x) {
    const Engine inner{"limited", {.max_workers = 2}};
    const auto parts = inner.map(twice, std::vector<int>{x, x + 1});
    return parts[0] + parts[1];
  };
  CHECK(engine.map(nested, first_numbers(4)) == std::vector<int>{2, 6, 10, 14});
}

TEST_CASE("handlers on a registered backend are made in its workers, too", "[custom]") {
  const auto backend = each_custom();
  CAPTURE(backend);
  const Stage stage{backend};
  auto h = on<Probe>(backend);
  const auto inside = [](Probe&, Backend same) {
    if (same == kinds().pooled && lender == nullptr) return -1;
    Handler<Probe> deeper{{.backend = same, .fork_in_threads = apalis::ForkInThreads::allow},
                          std::in_place};
    return deeper.call(&Probe::add, 3).get();
  };
  CHECK(h.call(inside, backend).get() == 3);
}
