// SPDX-License-Identifier: BSL-1.0
#include "stopwatch.hpp"

#include <algorithm>
#include <array>

namespace apalis::bench {
namespace {

using std::chrono::steady_clock;

double measure_scale() {
  using namespace std::chrono_literals;
  const auto clock_start = steady_clock::now();
  const Ticks start = now();
  while (steady_clock::now() - clock_start < 50ms) {
  }
  const Ticks end = now();
  const std::chrono::duration<double, std::nano> span = steady_clock::now() - clock_start;
  return span.count() / static_cast<double>(end - start);
}

double measure_stamp() {
  std::array<Ticks, 1001> gaps;
  for (Ticks& gap : gaps) {
    const Ticks start = now();
    gap = now() - start;
  }
  std::nth_element(gaps.begin(), gaps.begin() + gaps.size() / 2, gaps.end());
  return static_cast<double>(gaps[gaps.size() / 2]);
}

}  // namespace

const Calibration& calibration() {
  static const Calibration measured{measure_scale(), measure_stamp()};
  return measured;
}

Ticks ticks_in(std::chrono::nanoseconds span) {
  return static_cast<Ticks>(static_cast<double>(span.count()) / calibration().nanoseconds_per_tick);
}

}  // namespace apalis::bench
