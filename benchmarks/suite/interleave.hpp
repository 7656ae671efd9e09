// SPDX-License-Identifier: BSL-1.0
#pragma once

// Runs the sides of a comparison in alternating blocks (A B A B ...), so that a slow moment of the
// host meets all of them, and reduces each side to the median of what its blocks say.
//
//   auto [value, reference] = interleave(effort, call, ping_pong);

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "stopwatch.hpp"

namespace apalis::bench {

/// How much time a row may spend.
struct Effort {
  int rounds;                        ///< blocks of each side
  std::chrono::nanoseconds block;    ///< length of a block
  std::chrono::nanoseconds warm_up;  ///< unmeasured samples before each block
  bool quick;                        ///< run for function only: figures mean nothing

  static Effort full();
  static Effort for_function();
};

/// What one side came to, in nanoseconds an event.
struct Summary {
  double median;  ///< median of the blocks' medians
  double p99;     ///< median of the blocks' 99th percentiles
};

/// The `fraction` quantile; reorders the samples, of which there is at least one.
double quantile(std::vector<double>& samples, double fraction);
inline double median(std::vector<double>& samples) {
  return quantile(samples, 0.5);
}

/// One side: sample() runs some events and returns the nanoseconds of one; begin and end bracket a
/// block (a helper process wakes up, goes to sleep again).
struct Side {
  std::function<double()> sample;
  std::function<void()> begin = [] {};
  std::function<void()> end = [] {};
};

namespace detail {
class Blocks {
 public:
  void run(const Side& side, const Effort& effort);
  Summary summary();

 private:
  std::vector<double> samples_, medians_, p99s_;
};
}  // namespace detail

template <class... Sides>
std::array<Summary, sizeof...(Sides)> interleave(const Effort& effort, const Sides&... sides) {
  std::array<detail::Blocks, sizeof...(Sides)> blocks;
  for (int round = 0; round < effort.rounds; ++round) {
    std::size_t next = 0;
    (blocks[next++].run(sides, effort), ...);
  }
  std::array<Summary, sizeof...(Sides)> summaries;
  std::transform(blocks.begin(), blocks.end(), summaries.begin(),
                 [](detail::Blocks& side) { return side.summary(); });
  return summaries;
}

}  // namespace apalis::bench
