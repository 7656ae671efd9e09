// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a Meeting's memory holds: a page, and behind it the places.
//
//   state: phase, how many are expected, how many have arrived. Whoever completes a phase starts
//   the next one by the same store, so that no two words have to agree.

#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/sys/incarnation.hpp>
#include <atomic>
#include <cstdint>

namespace apalis::detail::channel {

/// A process at a barrier.
struct alignas(cache_line) MeetingPlace {
  std::atomic<sys::Incarnation> who{0};  // 0: free
  /// The last phase that it arrived in, how often it did, and how often it ever did in one: bits
  /// 32-63, 16-31, 0-15. 0 arrivals at most: it was only given the barrier.
  std::atomic<std::uint64_t> count{0};
};

/// What lies at the block's start, the places behind it. Zeros but for what begin() writes.
struct MeetingPage {
  /// Bits 32-63 phase | 31 broken | 16-30 expected | 0-15 arrived; once broken, whose place did it.
  alignas(line_pair) std::atomic<std::uint64_t> state;
  alignas(line_pair) std::atomic<std::uint32_t> turn;  // the futex
  std::atomic<std::uint32_t> sleepers;
  std::atomic<std::uint32_t> cores;     // a hint for how to wait
  std::atomic<std::int64_t> looked_at;  // when somebody last looked who has ended, in ns
};

}  // namespace apalis::detail::channel
