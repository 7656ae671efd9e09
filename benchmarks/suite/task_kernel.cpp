// SPDX-License-Identifier: BSL-1.0
#include "task_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "interleave.hpp"

namespace apalis::bench {

// A function of its own in every process and side: inlining must not make one of them faster.
[[gnu::noinline]] std::uint64_t run_kernel(std::uint64_t steps) noexcept {
  std::uint64_t state = steps;
  for (; steps > 0; --steps) state = state * 6364136223846793005U + 1442695040888963407U;
  return state;
}

std::uint64_t steps_lasting(std::chrono::nanoseconds span) {
  static const double nanoseconds_per_step = [] {
    constexpr int steps = 200'000;
    std::vector<double> samples(21);
    std::generate(samples.begin(), samples.end(),
                  [] { return timed(steps, [] { keep(run_kernel(steps)); }); });
    return median(samples);
  }();
  const double steps = static_cast<double>(span.count()) / nanoseconds_per_step;
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::lround(steps)));
}

}  // namespace apalis::bench
