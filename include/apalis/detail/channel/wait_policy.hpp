// SPDX-License-Identifier: BSL-1.0
#pragma once

// How to wait for a peer: spin where a core is free, yield where workers and waiters fill the
// cores, then sleep.

#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/core/cpu_relax.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace apalis::detail::channel {

/// Turns of a spin loop that take about 100 ns here: `pause` is 10 ns on some cores, 45 on others.
[[nodiscard]] int measure_breath() noexcept;

/// How many of this region's children are awake against the cores there are: a hint.
class Occupancy {
 public:
  Occupancy(std::atomic<std::int32_t>& awake, int cores, int breath) noexcept
      : awake_(&awake), cores_(cores), breath_(breath) {}

  /// Stays away from the peer's cache line for some `count` × 100 ns. In a burst, whoever looks
  /// again at once makes both sides fight for the line of every single message; a moment later
  /// several have come for the price of one.
  void breathe(int count) const noexcept {
    if (!crowded())
      for (int turns = count * breath_; turns > 0; --turns) cpu_relax();
  }

  /// Whether the awake children and the one parent thread that drives them exceed the cores.
  [[nodiscard]] bool crowded() const noexcept {
    return awake_->load(std::memory_order_relaxed) >= cores_;
  }
  /// How many they are. A child that went astray may have written any number.
  [[nodiscard]] int awake() const noexcept {
    const auto count = awake_->load(std::memory_order_relaxed);
    return count > 0 ? count : 0;
  }
  void wake() const noexcept { awake_->fetch_add(1, std::memory_order_relaxed); }
  void sleep() const noexcept { awake_->fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::int32_t>* awake_;
  int cores_;
  int breath_;
};

/// Tells the peer where we wait, and whether it waits on the same core: then neither can answer
/// before the other yields, so spinning is time lost. The kernel separates two such processes only
/// after tens of milliseconds.
class Neighbour {
 public:
  Neighbour(CoreHint& own, const CoreHint& peer) noexcept : own_(&own), peer_(&peer) {}

  [[nodiscard]] bool on_this_core() noexcept { return is_on(sys::current_core()); }
  /// The same, where we know our core.
  [[nodiscard]] bool is_on(int here) noexcept {
    const auto core = static_cast<std::uint32_t>(here) + 1;
    // Stored when it changes only, so that the line stays shared.
    if (own_->core.load(std::memory_order_relaxed) != core)
      own_->core.store(core, std::memory_order_relaxed);
    return peer_->core.load(std::memory_order_relaxed) == core;
  }
  /// The same, telling nobody.
  [[nodiscard]] bool is_here() const noexcept {
    return peer_->core.load(std::memory_order_relaxed) ==
           static_cast<std::uint32_t>(sys::current_core()) + 1;
  }

 private:
  CoreHint* own_;
  const CoreHint* peer_;
};

/// One wait, from its first look to falling asleep.
class Patience {
 public:
  /// `settled`: whether the peer is known to run on a core of its own: not a child just forked, nor
  /// a Neighbour on this one.
  explicit Patience(Occupancy occupancy, bool settled = true) noexcept
      : occupancy_(occupancy),
        settled_(settled),
        eager_turns_(settled && !occupancy.crowded() ? most_eager_turns : 0) {}

  /// Passes a moment. False once it is time to sleep.
  [[nodiscard]] bool pass() noexcept {
    if (eager_turns_ > 0) [[likely]] {
      --eager_turns_;
      cpu_relax();
      return true;
    }
    return pass_slowly();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int most_eager_turns = 64;  // the reply to a null call comes within these
  // From here on a yield's 0.15 µs is a small part of the wait, and whoever else needs this core
  // gets it, be it a process that we know nothing of.
  static constexpr std::chrono::microseconds spin_limit{4};
  static constexpr std::chrono::microseconds yield_limit{200};

  bool pass_slowly() noexcept;

  Occupancy occupancy_;
  bool settled_;
  bool is_spun_out_ = false;
  bool is_over_ = false;
  int eager_turns_;
  unsigned slow_turns_ = 0;
  Clock::time_point start_{};
};

}  // namespace apalis::detail::channel
