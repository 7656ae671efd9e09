// SPDX-License-Identifier: BSL-1.0
// Rows of an Engine's maps: what is left of two cores, and what a map itself costs.

#include <malloc.h>

#include <algorithm>
#include <apalis/engine.hpp>
#include <apalis/handler.hpp>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#ifdef APALIS_BENCH_TBB
#  include <tbb/global_control.h>
#  include <tbb/parallel_for.h>
#endif

#include "bare_fork.hpp"
#include "bare_pair.hpp"
#include "probe.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::uint64_t work(std::uint64_t steps) { return run_kernel(steps); }

EngineOptions pair_options() { return {.max_workers = 2}; }

/// So many maps a side: each is a mean over all that happens meanwhile.
Effort few_maps(const Effort& effort) {
  return {std::max(2, effort.rounds / 4), 0ns, 0ns, effort.quick};
}

std::size_t scaled(std::size_t items, const Effort& effort) {
  return effort.quick ? items / 100 : items;
}

Side engine_map(Engine& engine, const std::vector<std::uint64_t>& items) {
  return {.sample = [&] {
    return timed(static_cast<int>(items.size()), [&] { keep(engine.map(&work, items)); });
  }};
}

/// Both as speed-ups over a serial loop.
Measured beside_pair(const std::vector<std::uint64_t>& items, std::uint64_t steps,
                     const Effort& effort) {
  Engine engine{Backend::processes, pair_options()};
  keep(engine.map(&work, std::vector<std::uint64_t>(1000, steps)));
  BarePair pair;
  const auto total = [&] {
    std::uint64_t sum = 0;
    for (const auto item : items) sum += item;
    return sum;
  }();
  const std::uint64_t tasks = total / steps / 2;
  const auto count = static_cast<int>(items.size());
  const Side serial{.sample = [&] {
    return timed(count, [&] {
      for (const auto item : items) keep(run_kernel(item));
    });
  }};
  const Side bare{.sample = [&] { return timed(count, [&] { pair.run(tasks, steps); }); }};
  const auto [alone, mapped, best] =
      interleave(few_maps(effort), serial, engine_map(engine, items), bare);
  return {.value = alone.median / mapped.median, .reference_value = alone.median / best.median};
}

Measured map_of(std::size_t items, nanoseconds task, const Effort& effort) {
  const auto steps = steps_lasting(task);
  return beside_pair(std::vector<std::uint64_t>(scaled(items, effort), steps), steps, effort);
}

/// Meanwhile freed memory stays with this process, so that the results' pages are warm.
class WarmHeap {
 public:
  WarmHeap() noexcept { set(1 << 30, std::numeric_limits<int>::max()); }
  WarmHeap(const WarmHeap&) = delete;
  WarmHeap& operator=(const WarmHeap&) = delete;
  ~WarmHeap() {
    constexpr int usual = 128 * 1024;
    set(usual, usual);
    ::malloc_trim(0);
  }

 private:
  static void set(int mapped, int trimmed) noexcept {
    ::mallopt(M_MMAP_THRESHOLD, mapped);
    ::mallopt(M_TRIM_THRESHOLD, trimmed);
  }
};

Measured short_calls(const Effort& effort) { return map_of(10'000'000, 100ns, effort); }

Measured short_calls_warm(const Effort& effort) {
  const WarmHeap heap;
  return short_calls(effort);
}

/// One item in a hundred is a hundred times as long, and these come last. Items are short beside the
/// whole: the best schedule gives both workers half of the work.
Measured map_skewed(const Effort& effort) {
  const auto steps = steps_lasting(1us);
  std::vector<std::uint64_t> items(scaled(500'000, effort), steps);
  const auto longer = items.size() / 100;
  std::fill(items.end() - static_cast<std::ptrdiff_t>(longer), items.end(), 100 * steps);
  return beside_pair(items, steps, effort);
}

#ifdef APALIS_BENCH_TBB
Measured map_beside_tbb(const Effort& effort) {
  const auto steps = steps_lasting(1us);
  const std::vector<std::uint64_t> items(scaled(1'000'000, effort), steps);
  const auto count = static_cast<int>(items.size());
  Engine engine{Backend::processes, pair_options()};
  keep(engine.map(&work, std::vector<std::uint64_t>(1000, steps)));
  const tbb::global_control two(tbb::global_control::max_allowed_parallelism, 2);
  const Side serial{.sample = [&] {
    return timed(count, [&] {
      for (const auto item : items) keep(run_kernel(item));
    });
  }};
  const Side peer{.sample = [&] {
    return timed(count, [&] {
      std::vector<std::uint64_t> results(items.size());
      tbb::parallel_for(std::size_t{0}, items.size(),
                        [&](std::size_t i) { results[i] = run_kernel(items[i]); });
      keep(results);
    });
  }};
  const auto [alone, mapped, threads] =
      interleave(few_maps(effort), serial, engine_map(engine, items), peer);
  return {.value = alone.median / mapped.median, .reference_value = alone.median / threads.median};
}
#endif

Measured map_overhead(const Effort& effort) {
  Engine engine{Backend::processes, pair_options()};
  const std::vector<std::uint64_t> items(2, 1);
  keep(engine.map(&work, std::vector<std::uint64_t>(1000, 1)));
  Handler<Echo> handler;
  const Side map{.sample = [&] { return timed(1, [&] { keep(engine.map(&work, items)); }); }};
  const Side calls{.sample = [&] {
    return timed(1, [&] {
      keep(handler.call(&Echo::f, 1).get());
      keep(handler.call(&Echo::f, 2).get());
    });
  }};
  const auto [value, reference] = interleave(effort, map, calls);
  return medians_and_p99(value, reference);
}

Measured map_carried(const Effort& effort) {
  Engine engine{Backend::processes, pair_options()};
  std::uint64_t steps = 1;
  const std::vector<std::uint64_t> items(2, 1);
  const Side map{.sample = [&] {
    return timed(2, [&] {
      keep(engine.map([&steps](std::uint64_t item) { return run_kernel(item * steps); }, items));
    });
  }};
  const auto [value, reference] = interleave(effort, map, fork_exit_wait());
  return medians_and_p99(value, reference);
}

Measured imap_memory(const Effort& effort) {
  constexpr int items = 10'000'000;
  return {.value = probe("imap_memory", effort.quick ? items / 100 : items),
          .reference_value = 1};
}

}  // namespace

std::vector<Row> engine_rows() {
  std::vector<Row> rows = {
      {.name = "map_1us",
       .what = "map of 1 M calls of 1 us, processes: speed-up",
       .reference = "2 bare processes",
       .measure = [](const Effort& effort) { return map_of(1'000'000, 1us, effort); },
       .target = {.must = 0.9, .aim = 0.97},
       .unit = "x",
       .better = Better::higher,
       .needs_two_cores = true},
      {.name = "map_100ns",
       .what = "map of 10 M calls of 100 ns, processes, results to warm memory: speed-up",
       .reference = "2 bare processes",
       .measure = short_calls_warm,
       .target = {.must = 0.75, .aim = 0.9},
       .unit = "x",
       .better = Better::higher,
       .needs_two_cores = true},
      {.name = "map_100ns_cold",
       .what = "the same, results to new pages each time",
       .reference = "2 bare processes",
       .measure = short_calls,
       .unit = "x",
       .better = Better::higher,
       .needs_two_cores = true},
      {.name = "map_skewed",
       .what = "map where the last 1 % of items is 100 times longer: speed-up",
       .reference = "half of the work each",
       .measure = map_skewed,
       .target = {.must = 0.9, .aim = 0.97},
       .unit = "x",
       .better = Better::higher,
       .needs_two_cores = true},
      {.name = "map_overhead_empty",
       .what = "map of 2 items that do nothing, by workers that wait",
       .reference = "2 null calls",
       .measure = map_overhead,
       .target = {.must = 3, .aim = 1.5},
       .needs_two_cores = true},
      {.name = "map_carried",
       .what = "map of a callable with captures, of 2 items: a worker's making and end",
       .reference = "fork+exit+wait",
       .measure = map_carried,
       .target = {.must = 1.5, .aim = 1.1}},
      {.name = "imap_memory",
       .what = "imap over a generator of 10 M items: how much the parent grows",
       .reference = "-",
       .measure = imap_memory,
       .target = {.must = 64, .aim = 8, .judged = Target::Judged::value},
       .unit = "MB"},
  };
#ifdef APALIS_BENCH_TBB
  rows.insert(rows.begin() + 1,
              {.name = "map_1us_vs_tbb",
               .what = "the same",
               .reference = "oneTBB parallel_for",
               .measure = map_beside_tbb,
               .target = {.must = 0.93, .aim = 1.0},
               .unit = "x",
               .better = Better::higher,
               .needs_two_cores = true});
#endif
  return rows;
}

}  // namespace apalis::bench
