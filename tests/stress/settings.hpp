// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the environment says: APALIS_STRESS_SEED (default: another one each time, printed) and
// APALIS_STRESS_CALLS (about how many calls in all; default a million).

#include <cstdint>
#include <random>

namespace stress {

/// The seed of this run; printed once.
[[nodiscard]] std::uint64_t seed();

/// `share` of the calls of the whole run.
[[nodiscard]] std::uint64_t calls(double share);

/// A generator of its own for each purpose.
[[nodiscard]] inline std::mt19937_64 random_for(std::uint64_t purpose) {
  return std::mt19937_64(seed() * 1'000'003 + purpose);
}

/// Mostly small, sometimes up to 4 kB, rarely up to 300 kB.
[[nodiscard]] inline std::size_t random_size(std::mt19937_64& random) {
  const auto dice = random() % 10'000;
  if (dice < 9500) return random() % 64;
  if (dice < 9993) return random() % 4096;
  return random() % 300'001;
}

}  // namespace stress
