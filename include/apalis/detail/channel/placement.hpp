// SPDX-License-Identifier: BSL-1.0
#pragma once

// Keeps the awake workers of a process on cores of their own, as far as there are cores.
//
// The kernel spreads load over milliseconds, and takes two workers that yield to each other for a
// core well used: both may stay on one while another idles, and two are then as slow as one. So
// each worker writes on which core it is, looks when it waits, and moves where fewer are.

#include <apalis/detail/channel/layout.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace apalis::detail::channel {

/// A look at every wait would be a good part of a short call.
inline constexpr std::uint32_t waits_between_looks = 16;

/// **Owns** one claim in the region's header, while its worker is awake.
/// **Threads:** the worker's. **Fork:** begun in the child.
/// **Blocks:** never; moving takes some 10 µs.
/// **Peer death:** the parent gives the claim back: forget_claim().
class Placement {
 public:
  /// `cores`: those that this process may use. `parent`: where it waited last. `claim`: where the
  /// parent finds what is claimed.
  Placement(RegionHeader& header, std::span<const int> cores, const CoreHint& parent,
            std::atomic<std::uint32_t>& claim) noexcept
      : header_(header), cores_(cores), parent_core_(parent.core), claim_(claim) {}

  /// The worker is about to wait, on this core. `with_parent`: the waiting parent is there too.
  void note(int core, bool with_parent) noexcept {
    if (core != core_) [[unlikely]]
      settle(core);
    if (with_parent || is_shared(core)) [[unlikely]]
      seek(with_parent);
  }

  /// The worker falls asleep: its core is free.
  void leave() noexcept { settle(nowhere); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int nowhere = -1;

  [[nodiscard]] bool is_shared(int core) const noexcept;
  void settle(int core) noexcept;
  void seek(bool with_parent) noexcept;

  RegionHeader& header_;
  std::span<const int> cores_;
  const std::atomic<std::uint32_t>& parent_core_;
  std::atomic<std::uint32_t>& claim_;
  int core_ = nowhere;
  Clock::time_point looked_{};
};

/// The parent's: a worker that has died claims nothing.
void forget_claim(RegionHeader& header, std::atomic<std::uint32_t>& claim) noexcept;

}  // namespace apalis::detail::channel
