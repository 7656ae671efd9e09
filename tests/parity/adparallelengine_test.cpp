// SPDX-License-Identifier: BSL-1.0
// adparallelengine's page, example by example, and the matrix that its own test runs.
#include <unistd.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <cstddef>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/generator.hpp"

using apalis::Engine;
using Catch::Matchers::ContainsSubstring;
using support::Generator;

namespace {

using Series = std::vector<double>;

/// As much of a pandas.DataFrame as the page needs.
struct Frame {
  std::vector<Series> rows = {};

  bool operator==(const Frame&) const = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(rows);
  }
};

template <class Change>
Frame changed(Frame frame, Change change) {
  for (Series& row : frame.rows)
    for (std::size_t column = 0; column < row.size(); ++column) change(row[column], column);
  return frame;
}
Frame operator*(double factor, const Frame& frame) {
  return changed(frame, [&](double& x, std::size_t) { x *= factor; });
}
/// By columns.
Frame operator*(const Frame& frame, std::span<const double> series) {
  return changed(frame, [&](double& x, std::size_t column) { x *= series[column]; });
}
Frame operator+(const Frame& frame, double summand) {
  return changed(frame, [&](double& x, std::size_t) { x += summand; });
}

using Two = std::array<Frame, 2>;

std::vector<Frame> three_frames() {
  return {{{{1, 2}}}, {{{3, 4}}}, {{{5, 6}}}};
}
Two doubled_and_tripled(const Frame& df) {
  return {2 * df, 3 * df};
}
Two times_series(const Frame& df, std::span<const double> s) {
  return {2 * df * s, 3 * df * s};
}

int dummy_prod(int xx) {
  return 2 * xx;
}

/// def fib(limit), which counts what was taken from it.
Generator<int> fib(int limit, int* taken) {
  int a = 0;
  int b = 1;
  while (a < limit) {
    ++*taken;
    int next = a;
    co_yield next;
    a = std::exchange(b, a + b);
  }
}

std::string each_kind() {
  return GENERATE("serial", "multiproc", "multithread", "concurrent");
}

}  // namespace

// which = "multiproc"  # Can also be "serial", "dask", "mpi" or "k8s"
// engine = Engine(kind=which, path_shared=Path("tests") / "data" / "shared")
TEST_CASE("ad: \"Creating the engine is done this way\"", "[parity]") {
  CHECK(Engine{"multiproc"}.backend() == apalis::Backend::processes);
  CHECK(Engine{"concurrent"}.backend() == apalis::Backend::processes);
  CHECK(Engine{"multithread"}.backend() == apalis::Backend::threads);
  CHECK(Engine{"serial"}.backend() == apalis::Backend::serial);
  CHECK_THROWS_WITH(Engine{"dask"}, ContainsSubstring("use 'processes'"));
  CHECK_THROWS_WITH(Engine{"k8s"}, ContainsSubstring("use 'processes'"));
  CHECK_THROWS_WITH(Engine{"multiprok"}, ContainsSubstring("no backend 'multiprok'"));
}

TEST_CASE("ad: \"also available in a serial mode, for debugging purposes\"", "[parity]") {
  const Engine engine{"serial"};
  const auto ids = engine.map([](int) { return ::gettid(); }, std::vector{1, 2});
  CHECK(ids == std::vector{::gettid(), ::gettid()});
}

// # max_workers=10  One can limit the number of workers. By default, os.cpu_count() ...
TEST_CASE("ad: \"One can limit the number of workers\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  CHECK(Engine{kind}.max_workers() == static_cast<std::size_t>(apalis::cpu_count()));
  const Engine engine{kind, {.max_workers = 3}};
  CHECK(engine.max_workers() == 3);
  CHECK(engine.map(dummy_prod, std::vector(100, 4)) == std::vector(100, 8));
  CHECK(engine.pids().size() <= 3);
  const auto made = engine.map([](int) { return ::getpid(); }, std::vector(100, 0));
  CHECK(std::set(made.begin(), made.end()).size() <= 3);
}

// results = engine(method, [pd.DataFrame([[1, 2]]), ...])
TEST_CASE("ad: \"on each element of this iterable\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Engine engine{kind};
  const std::vector<Two> results = engine(doubled_and_tripled, three_frames());
  REQUIRE(results.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(results[i][0] == 2 * three_frames()[i]);
    CHECK(results[i][1] == 3 * three_frames()[i]);
  }
}

// x = fib(25)  # will have 9 elements: 0, 1, 1, 2, 3, 5, 8, 13, 21
// results = engine(dummy_prod, x, length=9, batch=4)
TEST_CASE("ad: \"supports generators if the length argument is given\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Engine engine{kind, {.max_workers = 2}};
  const std::vector expected{0, 2, 2, 4, 6, 10, 16, 26, 42};
  int taken = 0;
  CHECK(engine(dummy_prod, fib(25, &taken), apalis::length(9), apalis::batched(4)) == expected);
  CHECK(taken == 9);
  SECTION("and here without one") {
    taken = 0;
    CHECK(engine(dummy_prod, fib(25, &taken)) == expected);
    CHECK(taken == 9);
  }
}

TEST_CASE("ad: \"At no moment the engine will cast it to list ... and loop through it only once\"",
          "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Engine engine{kind, {.max_workers = 2}};
  int taken = 0;
  SECTION("it throws if it is read twice") {
    auto x = fib(25, &taken);
    CHECK(engine(dummy_prod, x, apalis::length(9), apalis::batched(4)).size() == 9);
    CHECK(taken == 9);
  }
  SECTION("an endless one is read as far as its results are") {
    const auto numbers = [](int* count) -> Generator<int> {
      for (;;) {
        int next = (*count)++;
        co_yield next;
      }
    };
    int seen = 0;
    for (const int x : engine.imap(dummy_prod, numbers(&taken), apalis::batch_size(4))) {
      CHECK(x == 2 * seen);
      if (++seen == 100) break;
    }
    CHECK(taken < 100 + 4 * 8 * 3);  // eight batches for each worker, and one that is being read
  }
}

// engine(method, ..., gather=True)
TEST_CASE("ad: \"the keyword gather to flatten this list inside the engine\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const std::vector<Frame> results = Engine{kind}.flat_map(doubled_and_tripled, three_frames());
  REQUIRE(results.size() == 6);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(results[2 * i] == 2 * three_frames()[i]);
    CHECK(results[2 * i + 1] == 3 * three_frames()[i]);
  }
}

// engine(method, ..., batched=True)
TEST_CASE("ad: \"sublists of elements are given to each process\"", "[parity]") {
  const Engine engine{"multiproc", {.max_workers = 2}};
  const auto pids = engine([](int) { return ::getpid(); }, std::vector(7, 0), apalis::batched());
  REQUIRE(pids.size() == 7);
  // Of as many batches as workers the first has four and the second three.
  CHECK(std::all_of(pids.begin(), pids.begin() + 4, [&](pid_t pid) { return pid == pids[0]; }));
  CHECK(std::all_of(pids.begin() + 4, pids.end(), [&](pid_t pid) { return pid == pids[4]; }));
  CHECK(std::find(pids.begin(), pids.end(), ::getpid()) == pids.end());
}

// # Using 16 batches
// engine(method, ..., batched=16)
TEST_CASE("ad: \"more batches than the number of workers by giving an integer\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Engine engine{kind, {.max_workers = 2}};
  CHECK(engine(doubled_and_tripled, three_frames(), apalis::batched(16)) ==
        engine(doubled_and_tripled, three_frames()));
  CHECK(engine(dummy_prod, std::vector(100, 1), apalis::batched(16)) == std::vector(100, 2));
}

// def method(df, s): ...
// results = engine(method, ..., s=some_series)
TEST_CASE("ad: \"The method can accept other keyword arguments\"", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Series some_series{10, 20};
  const auto results = Engine{kind}(times_series, three_frames(), some_series);
  REQUIRE(results.size() == 3);
  CHECK(results[1] == Two{Frame{{{60, 160}}}, Frame{{{90, 240}}}});
}

// results = engine(method, ..., share={"s": some_series})
TEST_CASE("ad: \"written to disk by the engine, and only a path will be given to each process\"",
          "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  const Engine engine{kind, {.max_workers = 2}};
  const Series some_series{10, 20};
  const auto expected = engine(times_series, three_frames(), some_series);
  CHECK(engine(times_series, three_frames(), apalis::put(some_series)) == expected);
  CHECK(engine(times_series, three_frames(), apalis::share(some_series, {.directory = "/tmp"})) ==
        expected);
}

// --- The complete example ------------------------------------------------------------------------

namespace {

struct Dummy {
  static thread_local int some_attr;  // of each worker, be it a process or a thread
};
thread_local int Dummy::some_attr = 0;

void method_in_processes(int a) {
  Dummy::some_attr = a;
}

Two method(const Frame& element, std::span<const double> some_other_stuff, double some_float) {
  const Frame first = element * some_other_stuff + some_float + Dummy::some_attr;
  return {first, 3 * first};
}

std::vector<Frame> dfs() {
  return {{{{0, 1}, {2, 3}}},     {{{4, 5}, {6, 7}}},     {{{8, 9}, {10, 11}}},
          {{{12, 13}, {14, 15}}}, {{{16, 17}, {18, 19}}}, {{{21, 22}, {23, 24}}}};
}
Generator<Frame> generated_dfs() {
  for (Frame& df : dfs()) co_yield df;
}

enum class Share { no, memory, disk };

/// All results in a row, be they gathered by the engine or here.
template <class Items, class Stuff, class... Batched>
std::vector<Frame> run(const Engine& engine, bool gather, Items&& items, const Stuff& stuff,
                       const Batched&... batched) {
  if (gather) return engine.flat_map(method, std::forward<Items>(items), stuff, 5.0, batched...);
  const std::vector<Two> pairs = engine(method, std::forward<Items>(items), stuff, 5.0, batched...);
  std::vector<Frame> all;
  for (const Two& pair : pairs) all.insert(all.end(), pair.begin(), pair.end());
  return all;
}

/// `batched`: -1 for False, 0 for True.
template <class Stuff>
std::vector<Frame> run(const Engine& engine, bool gather, bool generator, int batched,
                       const Stuff& stuff) {
  if (batched < 0)
    return generator ? run(engine, gather, generated_dfs(), stuff)
                     : run(engine, gather, dfs(), stuff);
  const auto batches = batched == 0 ? apalis::batched() : apalis::batched(batched);
  return generator ? run(engine, gather, generated_dfs(), stuff, batches, apalis::length(6))
                   : run(engine, gather, dfs(), stuff, batches);
}

}  // namespace

// engine = Engine(kind=which, ...)
// res = engine(method, dfs, init_method={"method": method_in_processes, "kwargs": {"a": 1}},
//              some_float=f, gather=gather, batched=batched, **share_kwargs)
TEST_CASE("ad: \"Complete example\", in every combination", "[parity]") {
  const std::string which = each_kind();
  const int max_workers = GENERATE(1, 2, 3);
  CAPTURE(which, max_workers);
  Engine engine{which, {.max_workers = max_workers}};
  Dummy::some_attr = 0;
  engine.on_worker_start(method_in_processes, 1);

  const Series s{2, 3};
  std::vector<Frame> expected;
  for (const Frame& df : dfs()) {
    expected.push_back(df * s + 5.0 + 1);
    expected.push_back(3 * expected.back());
  }
  for (const bool gather : {false, true}) {
    for (const bool generator : {false, true}) {
      for (const int batched : {-1, 0, 1, 4, 16}) {
        CAPTURE(gather, generator, batched);
        CHECK(run(engine, gather, generator, batched, s) == expected);
        CHECK(run(engine, gather, generator, batched, apalis::put(s)) == expected);
        CHECK(run(engine, gather, generator, batched, apalis::share(s, {.directory = "/tmp"})) ==
              expected);
      }
    }
  }
  Dummy::some_attr = 0;
}

// --- Its faults ----------------------------------------------------------------------------------

TEST_CASE("ad: results come in the order of the elements, also of kind concurrent", "[parity]") {
  const Engine engine{"concurrent", {.max_workers = 3}};
  const auto f = [](int x) {  // the first ones take longest
    volatile int sink = 0;
    for (int i = 0; i < (50 - x) * 20'000; ++i) sink = i;
    return x + 0 * sink;
  };
  std::vector<int> items(50);
  std::iota(items.begin(), items.end(), 0);
  CHECK(engine(f, items, apalis::batch_size(1)) == items);
}

TEST_CASE("ad: what the method to run in each process throws fails the map", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  Engine engine{kind, {.max_workers = 2}};
  engine.on_worker_start(
      [](int a) {
        if (a == 1) throw std::runtime_error("no such class");
      },
      1);
  CHECK_THROWS_WITH(engine(dummy_prod, std::vector{1, 2}), ContainsSubstring("no such class"));
}

// engine.times, engine.peak_mem_allocations; print_percent
TEST_CASE("ad: progress and times", "[parity]") {
  const std::string kind = each_kind();
  CAPTURE(kind);
  std::size_t done = 0;
  bool finished = false;
  const Engine engine{kind, {.max_workers = 2, .progress = [&](const apalis::ProgressReport& r) {
                               CHECK(r.done >= done);
                               done = r.done;
                               finished = r.finished;
                             }}};
  CHECK(engine(dummy_prod, std::vector(1000, 1)).size() == 1000);
  CHECK(done == 1000);
  CHECK(finished);
  CHECK(engine.report().items == 1000);
  CHECK(engine.report().wall_seconds > 0);
}
