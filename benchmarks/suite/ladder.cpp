// SPDX-License-Identifier: BSL-1.0
#include "ladder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace apalis::bench {

std::vector<std::chrono::nanoseconds> ladder(std::chrono::nanoseconds shortest,
                                             std::chrono::nanoseconds longest) {
  std::vector<std::chrono::nanoseconds> lengths;
  for (; shortest <= longest; shortest = shortest * 5 / 4) lengths.push_back(shortest);
  return lengths;
}

double reached_for_good(const std::vector<Rung>& rungs, double threshold) {
  const auto below = [&](const Rung& rung) { return rung.gain < threshold; };
  const auto above = std::find_if(rungs.rbegin(), rungs.rend(), below).base();
  if (above == rungs.end()) return std::numeric_limits<double>::quiet_NaN();
  if (above == rungs.begin()) return above->length;
  const Rung& last = *(above - 1);
  const double part = (threshold - last.gain) / (above->gain - last.gain);
  return last.length * std::pow(above->length / last.length, part);
}

}  // namespace apalis::bench
