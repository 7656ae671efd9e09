// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waking a process that sleeps, at no cost for one that does not.
//
// The sleeper says so in `asleep`, orders that before a last look (heavy_barrier, on every core),
// and sleeps on `epoch`. The ringer publishes, then looks at `asleep`: a plain load, since the
// sleeper's barrier has done the ordering for both. The idea is Dekker's, made asymmetric as in
// liburcu's membarrier flavour.

#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/sys/event.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <chrono>
#include <optional>

namespace apalis::detail::channel {

/// **Owns** nothing: two words in shared memory, and a descriptor that both sides have.
/// **Threads:** any number of sleepers and ringers.
class Doorbell {
 public:
  /// `event_fd`: made readable too for one who said mark_event().
  Doorbell(std::atomic<std::uint32_t>& asleep, std::atomic<std::uint32_t>& epoch,
           std::uint32_t bits, bool heavy, int event_fd = -1) noexcept
      : asleep_(&asleep), epoch_(&epoch), bits_(bits), heavy_(heavy), event_fd_(event_fd) {}

  /// After publishing something: wakes the sleepers, if there are any. Async-signal-safe.
  void ring() const noexcept {
    if (heavy_) {
      sys::light_barrier();  // partner: heavy_barrier() in announce()
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);  // partner: the fence in announce()
    }
    if (asleep_->load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake();
  }

  /// Wakes every sleeper, announced or not.
  void wake() const noexcept {
    const auto who = asleep_->exchange(0, std::memory_order_relaxed);
    epoch_->fetch_add(1, std::memory_order_release);  // partner: ticket()
    sys::futex_wake_all(*epoch_, bits_);
    if ((who & by_event) != 0) [[unlikely]]
      sys::signal_event(event_fd_);
  }

  /// First step of going to sleep. Afterwards look once more at what is awaited, then sleep().
  [[nodiscard]] std::uint32_t announce() const noexcept {
    const auto now = ticket();
    mark();
    order();
    return now;
  }

  // The parts of announce(), for one who sleeps on several bells of the same epoch.
  [[nodiscard]] std::uint32_t ticket() const noexcept {
    return epoch_->load(std::memory_order_acquire);  // partner: wake()
  }
  void mark() const noexcept { asleep_->fetch_or(by_futex, std::memory_order_relaxed); }
  /// For one who sleeps elsewhere, on the descriptor among others.
  void mark_event() const noexcept { asleep_->fetch_or(by_event, std::memory_order_relaxed); }
  void order() const noexcept {
    if (heavy_) {
      sys::heavy_barrier();  // partner: light_barrier() in ring()
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
  }
  [[nodiscard]] std::uint32_t bits() const noexcept { return bits_; }

  /// Sleeps until rung since announce(), or until the limit; may return early.
  void sleep(std::uint32_t ticket, std::optional<std::chrono::nanoseconds> limit) const noexcept {
    sleep(ticket, limit, bits_);
  }
  void sleep(std::uint32_t ticket, std::optional<std::chrono::nanoseconds> limit,
             std::uint32_t bits) const noexcept {
    if (limit) {
      sys::futex_wait(*epoch_, ticket, *limit, bits);
    } else {
      sys::futex_wait(*epoch_, ticket, bits);
    }
  }

 private:
  static constexpr std::uint32_t by_futex = 1;
  static constexpr std::uint32_t by_event = 2;

  std::atomic<std::uint32_t>* asleep_;
  std::atomic<std::uint32_t>* epoch_;
  std::uint32_t bits_;  // which sleepers on a shared epoch are meant
  bool heavy_;          // whether the kernel offers heavy_barrier()
  int event_fd_;
};

/// Several bells of one epoch, for one thread that sleeps until any of them rings: begin with
/// add(), look at what is awaited, then sleep().
class Bells {
 public:
  void add(const Doorbell& bell) noexcept {
    if (any_ == nullptr) ticket_ = bell.ticket();  // before any mark, as in Doorbell::announce()
    bell.mark();
    any_ = &bell;
    bits_ |= bell.bits();
  }
  [[nodiscard]] bool empty() const noexcept { return any_ == nullptr; }
  /// After the last add(), before the last look.
  void order() const noexcept { any_->order(); }
  void sleep(std::chrono::nanoseconds limit) const noexcept { any_->sleep(ticket_, limit, bits_); }

 private:
  const Doorbell* any_ = nullptr;
  std::uint32_t ticket_ = 0;
  std::uint32_t bits_ = 0;
};

}  // namespace apalis::detail::channel
