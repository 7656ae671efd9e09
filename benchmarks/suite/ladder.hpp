// SPDX-License-Identifier: BSL-1.0
#pragma once

// Call lengths, each a quarter longer than the one before, and the length from which something
// holds for all longer ones too.

#include <chrono>
#include <vector>

namespace apalis::bench {

/// Lengths from `shortest` to about `longest`.
std::vector<std::chrono::nanoseconds> ladder(std::chrono::nanoseconds shortest,
                                             std::chrono::nanoseconds longest);

/// What was found at one length.
struct Rung {
  double length;
  double gain;
};

/// The length from which the gain is `threshold` or more for good: in between rungs by the
/// logarithm of the length. The shortest length where all of them reach it, NaN where the longest
/// does not.
double reached_for_good(const std::vector<Rung>& rungs, double threshold);

}  // namespace apalis::bench
