// SPDX-License-Identifier: BSL-1.0
#pragma once

// The reference "pp": a number goes to a forked process in one cache line and comes back in
// another, both sides spinning with pause. No two processes can exchange a word faster.

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "interleave.hpp"
#include "raw_calls.hpp"

namespace apalis::bench {

class PingPong {
 public:
  PingPong();
  ~PingPong();
  PingPong(const PingPong&) = delete;
  PingPong& operator=(const PingPong&) = delete;

  void wake();   ///< the echoing process starts to spin
  void sleep();  ///< it blocks again and leaves its core to the other side of the comparison

  void round_trip() {
    if (++stamp_ == asleep) ++stamp_;
    round_trip(stamp_);
  }

  /// Times single round trips.
  [[nodiscard]] Side side();

 private:
  // 128 bytes apart: the prefetcher of adjacent lines must not couple the two directions.
  struct Lines {
    alignas(128) std::atomic<std::uint32_t> ping;
    alignas(128) std::atomic<std::uint32_t> pong;
  };
  // How far a line is from the two cores depends on its address, by a third of a round trip. Each
  // block uses other lines, so that the median is not one address's luck.
  static constexpr std::uint8_t places = 64;
  static constexpr std::uint32_t asleep = 0;  // the stamp that ends a spinning block

  [[noreturn]] static void echo(Lines* pairs, int wake_fd) noexcept;

  void round_trip(std::uint32_t stamp) {
    Lines& lines = places_[place_];
    lines.ping.store(stamp, std::memory_order_release);
    while (lines.pong.load(std::memory_order_acquire) != stamp) pause_core();
  }

  Lines* places_;
  std::uint8_t place_ = 0;
  std::uint32_t stamp_ = 1;
  int wake_fd_;
  pid_t child_;
};

/// The median round trip of a quick look (30 ms), in nanoseconds.
double ping_pong_now();

/// Above this, something else kept the cores busy.
inline constexpr double busy_ping_pong = 1000;

/// Below this, two virtual cores share a physical one, and ratios to the ping-pong mean nothing.
inline constexpr double shared_core_ping_pong = 120;

}  // namespace apalis::bench
