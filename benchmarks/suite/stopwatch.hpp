// SPDX-License-Identifier: BSL-1.0
#pragma once

// One clock for values and references alike: the cycle counter, with its own cost subtracted.
//
//   double ns = timed(1, [&] { exchange.round_trip(); });

#include <chrono>
#include <cstdint>

namespace apalis::bench {

using Ticks = std::uint64_t;

/// Now. On x86 rdtscp, which waits until earlier loads are done; elsewhere the steady clock.
inline Ticks now() noexcept {
#if defined(__x86_64__)
  unsigned cpu = 0;
  return __builtin_ia32_rdtscp(&cpu);
#else
  return static_cast<Ticks>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// What this machine's clock means; measured once, at the first use.
struct Calibration {
  double nanoseconds_per_tick;
  double stamp;  ///< ticks between two calls of now() with nothing in between
};
const Calibration& calibration();

[[nodiscard]] Ticks ticks_in(std::chrono::nanoseconds span);

/// Nanoseconds from `start` to `end` without the cost of the second stamp.
[[nodiscard]] inline double nanoseconds_between(Ticks start, Ticks end) {
  const auto& [scale, stamp] = calibration();
  const double ticks = static_cast<double>(end - start) - stamp;
  return ticks > 0 ? ticks * scale : 0;
}

/// Nanoseconds that one of the `events` took which one run of `f` performs.
template <class F>
[[nodiscard]] double timed(int events, F&& f) {
  const Ticks start = now();
  f();
  return nanoseconds_between(start, now()) / events;
}

/// Makes the compiler believe that `value` is used.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

}  // namespace apalis::bench
