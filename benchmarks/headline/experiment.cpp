// SPDX-License-Identifier: BSL-1.0
#include "experiment.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "../suite/interleave.hpp"
#include "../suite/stopwatch.hpp"
#include "../suite/task_kernel.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// 10 us, 21.5 us, 46.4 us, 100 us, …: three in each decade.
std::vector<nanoseconds> lengths(nanoseconds shortest, nanoseconds longest, int a_decade) {
  std::vector<nanoseconds> all;
  const auto ratio = static_cast<double>(longest.count()) / static_cast<double>(shortest.count());
  const auto last = static_cast<int>(std::lround(std::log10(ratio) * a_decade));
  for (int i = 0; i <= last; ++i) {
    const double length =
        static_cast<double>(shortest.count()) * std::pow(10, i / static_cast<double>(a_decade));
    all.emplace_back(std::llround(length));
  }
  return all;
}

Spread spread_of(std::vector<double> samples) {
  return {.median = median(samples),
          .lower_quartile = quantile(samples, 0.25),
          .upper_quartile = quantile(samples, 0.75)};
}

/// Runs rounds until `block` has passed; nanoseconds of one. A first part of it does not count:
/// until the workers are awake and those of the contestant before have gone to sleep.
double round_time(const std::function<void()>& round, nanoseconds block) {
  const Ticks begin = now();
  for (const Ticks awake = begin + ticks_in(block / 8); now() < awake;) round();
  int rounds = 0;
  const Ticks start = now();
  const Ticks end = start + ticks_in(block);
  Ticks last = start;
  while (rounds == 0 || last < end) {
    round();
    last = now();
    ++rounds;
  }
  return nanoseconds_between(start, last) / rounds;
}

Series measure(const Panel& panel, nanoseconds task, const Plan& plan, Audience& audience) {
  const std::uint64_t steps = steps_lasting(task);
  std::vector<std::function<void()>> rounds;
  rounds.reserve(panel.contestants.size());
  for (const Contestant& contestant : panel.contestants) {
    rounds.push_back(contestant.round_of(steps));
  }
  std::vector<std::vector<double>> times(rounds.size());
  std::vector<std::vector<double>> speed_ups(rounds.size());
  for (int repetition = 0; repetition < plan.repetitions; ++repetition) {
    audience.next(panel, task, repetition + 1, plan.repetitions);
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      times[i].push_back(round_time(rounds[i], plan.block));
      speed_ups[i].push_back(times[0].back() / times[i].back());
    }
  }
  Series series{task, {}};
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    series.points.push_back({spread_of(std::move(times[i])), spread_of(std::move(speed_ups[i]))});
  }
  return series;
}

}  // namespace

Plan Plan::full() {
  return {
      .repetitions = 21, .block = 20ms, .tasks = lengths(100ns, 10ms, 3), .objects_a_core = {1, 8}};
}

Plan Plan::quick() {
  return {
      .repetitions = 2, .block = 1ms, .tasks = lengths(100ns, 1ms, 1), .objects_a_core = {1, 8}};
}

std::vector<Panel> run_experiment(const Plan& plan, std::size_t cores, Audience& audience) {
  // All workers first: what forks must not find threads, which some contestants start.
  std::vector<Panel> panels;
  panels.reserve(plan.objects_a_core.size());
  for (const std::size_t objects : plan.objects_a_core) {
    panels.push_back({objects, contestants(objects * cores, cores), {}});
  }
  for (Panel& panel : panels) {
    audience.begin(panel);
    for (const nanoseconds task : plan.tasks) {
      panel.series.push_back(measure(panel, task, plan, audience));
      audience.measured(panel);
    }
  }
  return panels;
}

}  // namespace apalis::bench
