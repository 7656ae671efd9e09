// SPDX-License-Identifier: BSL-1.0
#pragma once

// The reference for calls worth sending: two processes on one core that take turns by sched_yield.
// The cheapest exchange with another process where no core is free to spin on.

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "interleave.hpp"

namespace apalis::bench {

class YieldPair {
 public:
  YieldPair();
  ~YieldPair();
  YieldPair(const YieldPair&) = delete;
  YieldPair& operator=(const YieldPair&) = delete;

  /// Nanoseconds of a round trip, mean of so many. The caller blocks meanwhile.
  double round_trip(std::uint32_t rounds);

  [[nodiscard]] Side side();

 private:
  using Word = std::atomic<std::uint32_t>;

  [[noreturn]] static void serve(Word& word, int orders, int partner, int results) noexcept;
  [[noreturn]] static void echo(Word& word, int orders) noexcept;

  Word* word_;
  int orders_;
  int results_;
  std::array<pid_t, 2> processes_;
};

}  // namespace apalis::bench
