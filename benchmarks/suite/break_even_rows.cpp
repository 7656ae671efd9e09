// SPDX-License-Identifier: BSL-1.0
// Rows of the shortest calls that are worth sending to other processes.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "bare_pair.hpp"
#include "ladder.hpp"
#include "row.hpp"
#include "subjects.hpp"
#include "yield_pair.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Two handlers: a call to each, then both results.
class TwoHandlers {
 public:
  static constexpr int tasks = 1;  ///< of each worker in a round

  auto round(std::uint64_t steps) {
    return [this, steps] {
      auto one = first_.call(&Worker::work, steps);
      auto two = second_.call(&Worker::work, steps);
      keep(one.get());
      keep(two.get());
    };
  }

 private:
  Handler<Worker> first_, second_;
};

/// A group of two workers: a run of prepared calls, one for each object.
template <int objects>
class TwoWorkers {
 public:
  static constexpr int tasks = objects;

  auto round(std::uint64_t steps) {
    std::vector<Call<Worker, std::uint64_t>> calls;
    for (const auto object : group_) calls.push_back(object.prepare(&Worker::work, steps));
    return [this, calls = std::move(calls)] { keep(group_.run(calls)); };
  }

 private:
  GroupHandler<Worker> group_{{.workers = 2}, std::in_place, std::size_t{2} * objects};
};

/// Which lengths a row looks at.
struct Range {
  nanoseconds shortest;
  nanoseconds longest;
};

std::vector<nanoseconds> lengths(Range range, const Effort& effort) {
  return effort.quick ? std::vector{range.shortest, range.longest}
                      : ladder(range.shortest, range.longest);
}

nanoseconds block_of_one_length(const Effort& effort) {
  return std::min<nanoseconds>(effort.block, 10ms);
}

/// A mean over a block is one sample, so that a collapse in between counts. There are many lengths:
/// fewer and shorter blocks for each.
Effort of_one_length(const Effort& effort) {
  return {std::max(2, effort.rounds / 3), 0ns, 0ns, effort.quick};
}

/// Rounds, each `length` long at best, for a block; a look at the clock after every 50 us of them.
/// The workers are awake and where the kernel wants them before it counts.
template <class Round>
Side in_rounds(const Round& round, nanoseconds length, const Effort& effort) {
  const auto some = static_cast<int>(std::max<nanoseconds::rep>(1, nanoseconds(50us) / length));
  const auto run_for = [&round, some](nanoseconds span) {
    int rounds = 0;
    for (const Ticks end = now() + ticks_in(span); now() < end; rounds += some) {
      for (int done = 0; done < some; ++done) round();
    }
    return rounds;
  };
  const nanoseconds block = block_of_one_length(effort);
  return {.sample =
              [run_for, block] {
                int rounds = 0;
                const double all = timed(1, [&] { rounds = run_for(block); });
                return all / rounds;
              },
          .begin = [run_for] { run_for(300us); }};
}

template <class Team>
Measured break_even(Range range, const Effort& effort) {
  constexpr int all = 2 * Team::tasks;
  Team team;
  YieldPair yields;
  std::vector<Rung> rungs;
  std::vector<double> round_trips;
  for (const nanoseconds length : lengths(range, effort)) {
    const std::uint64_t steps = steps_lasting(length);
    const auto round = team.round(steps);
    const auto alone = [&] {
      for (int done = 0; done < all; ++done) keep(run_kernel(steps));
    };
    const auto [serial, together, yield] =
        interleave(of_one_length(effort), in_rounds(alone, all * length, effort),
                   in_rounds(round, all * length, effort), yields.side());
    rungs.push_back({.length = serial.median / all, .gain = serial.median / together.median});
    round_trips.push_back(yield.median);
  }
  return {.value = reached_for_good(rungs, 1), .reference_value = median(round_trips)};
}

template <class Team>
Measured efficiency_90(Range range, const Effort& effort) {
  constexpr double ns_in_us = 1e3;
  Team team;
  BarePair pair;
  std::vector<Rung> rungs;
  for (const nanoseconds length : lengths(range, effort)) {
    const std::uint64_t steps = steps_lasting(length);
    const auto round = team.round(steps);
    const auto tasks =
        static_cast<int>(std::max<nanoseconds::rep>(1, block_of_one_length(effort) / length));
    const Side bare_processes{.sample = [&] {
      return timed(tasks, [&] { pair.run(static_cast<std::uint64_t>(tasks), steps); });
    }};
    const auto [together, bare] = interleave(
        of_one_length(effort), in_rounds(round, Team::tasks * length, effort), bare_processes);
    rungs.push_back({.length = bare.median, .gain = Team::tasks * bare.median / together.median});
  }
  return {.value = reached_for_good(rungs, 0.9) / ns_in_us,
          .reference_value = std::numeric_limits<double>::quiet_NaN()};
}

template <class Team>
Row break_even_row(const std::string& name, const std::string& who, Range range,
                   Target target = {}) {
  return {.name = name,
          .what = "length of a call from which " + who + " gain against a serial loop",
          .reference = "yield round trip",
          .measure = [range](const Effort& effort) { return break_even<Team>(range, effort); },
          .target = target,
          .needs_two_cores = true};
}

template <class Team>
Row efficiency_row(const std::string& name, const std::string& who, Range range, Target target) {
  target.judged = Target::Judged::value;
  return {.name = name,
          .what = "length of a call from which " + who + " reach 90 % of the reference",
          .reference = "2 bare processes",
          .measure = [range](const Effort& effort) { return efficiency_90<Team>(range, effort); },
          .target = target,
          .unit = "us",
          .needs_two_cores = true};
}

}  // namespace

std::vector<Row> break_even_rows() {
  return {
      break_even_row<TwoHandlers>("break_even_single", "2 handlers, a call each,", {200ns, 20us},
                                  {.must = 2.4, .aim = 1.2}),
      break_even_row<TwoWorkers<1>>("break_even_single/group", "2 objects on 2 workers, run(),",
                                    {200ns, 20us}),
      break_even_row<TwoWorkers<8>>("break_even_group", "16 objects on 2 workers, run(),",
                                    {50ns, 5us}, {.must = 0.5, .aim = 0.2}),
      efficiency_row<TwoHandlers>("efficiency_90_single", "2 handlers, a call each,", {4us, 200us},
                                  {.must = 40, .aim = 15}),
      efficiency_row<TwoWorkers<8>>("efficiency_90_group", "16 objects on 2 workers, run(),",
                                    {500ns, 50us}, {.must = 6, .aim = 2.5}),
  };
}

}  // namespace apalis::bench
