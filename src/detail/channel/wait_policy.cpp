// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/sys/cpu.hpp>

namespace apalis::detail::channel {

int measure_breath() noexcept {
  using Clock = std::chrono::steady_clock;
  using Nanoseconds = std::chrono::duration<double, std::nano>;
  constexpr int turns = 64;
  auto best = Nanoseconds::max();
  for (int round = 0; round < 3; ++round) {  // the least disturbed one
    const auto start = Clock::now();
    for (int i = 0; i < turns; ++i) cpu_relax();
    best = std::min<Nanoseconds>(best, Clock::now() - start);
  }
  return std::clamp(static_cast<int>(100.0 * turns / std::max(best.count(), 1.0)), 1, 100);
}

bool Patience::pass_slowly() noexcept {
  if (is_over_) return false;
  // Looking at the clock would be a good part of a yield.
  constexpr unsigned turns_between_looks = 4;
  const bool yields = !settled_ || is_spun_out_ || occupancy_.crowded();
  if (++slow_turns_ % turns_between_looks == 0 || !yields) {
    const auto now = Clock::now();
    if (start_ == Clock::time_point{}) start_ = now;
    const auto waited = now - start_;
    is_over_ = waited > yield_limit;
    if (is_over_) return false;
    is_spun_out_ = waited > spin_limit;
  }
  if (yields) {
    sys::yield_core();
  } else {
    for (int i = 0; i < 8; ++i) cpu_relax();
  }
  return true;
}

}  // namespace apalis::detail::channel
