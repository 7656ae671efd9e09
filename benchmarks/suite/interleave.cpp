// SPDX-License-Identifier: BSL-1.0
#include "interleave.hpp"

namespace apalis::bench {

using namespace std::chrono_literals;

Effort Effort::full() {
  return {.rounds = 41, .block = 25ms, .warm_up = 2ms, .quick = false};
}

Effort Effort::for_function() {
  return {.rounds = 2, .block = 2ms, .warm_up = 100us, .quick = true};
}

double quantile(std::vector<double>& samples, double fraction) {
  const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(samples.size() - 1));
  const auto nth = samples.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(samples.begin(), nth, samples.end());
  return *nth;
}

namespace detail {

void Blocks::run(const Side& side, const Effort& effort) {
  // Written through once, so that no sample waits for a page; a full buffer ends the block.
  constexpr std::size_t capacity = 1 << 18;
  if (samples_.capacity() == 0) samples_.resize(capacity);
  samples_.clear();

  side.begin();
  for (const Ticks end = now() + ticks_in(effort.warm_up); now() < end;) keep(side.sample());
  const Ticks end = now() + ticks_in(effort.block);
  do {
    samples_.push_back(side.sample());
  } while (now() < end && samples_.size() < capacity);
  side.end();

  medians_.push_back(median(samples_));
  p99s_.push_back(quantile(samples_, 0.99));
}

Summary Blocks::summary() {
  return {.median = median(medians_), .p99 = median(p99s_)};
}

}  // namespace detail
}  // namespace apalis::bench
