// SPDX-License-Identifier: BSL-1.0
#pragma once

// The consuming end of a lane.

#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/core/prefetch.hpp>
#include <cstring>

namespace apalis::detail::channel {

/// A message as it was found: its head, read once, and where its bytes are.
struct Arrival {
  Head head;
  BlockRef block;  // for blocks and pieces, already checked against the arena's bounds
  std::uint32_t position = 0;
  alignas(cache_line) std::byte inline_bytes[cache_line];

  [[nodiscard]] bool in_arena() const noexcept {
    return head.kind() == Kind::block || head.kind() == Kind::piece;
  }
};

/// **Owns** its position; the memory is the slice's.
/// **Threads:** one at a time, but has_message() from any.
/// **Blocks:** never.
/// **Peer:** every word is read once into a local and checked: whatever the peer writes, the
/// outcome is a message, none, or ProtocolViolation.
/// **Ordering:** messages arrive in the order they were sent.
class Receiver {
 public:
  explicit Receiver(Lane lane) noexcept : lane_(lane) {}

  /// Whether a message is there. Any thread may ask; only take() says so reliably.
  [[nodiscard]] bool has_message() const noexcept {
    const auto position = next_.load(std::memory_order_relaxed);
    return Head{lane_.unit(position).head.load(std::memory_order_acquire)}.is_at(position);
  }

  /// Takes the next message into `arrival`; inline bytes are copied, an arena block stays where it
  /// is until release().
  [[nodiscard]] bool try_take(Arrival& arrival) {
    for (;;) {
      const auto position = next_.load(std::memory_order_relaxed);
      Unit& unit = lane_.unit(position);
      const Head head{unit.head.load(std::memory_order_acquire)};  // partner: Sender::publish()
      if (!head.is_at(position)) return false;
      if (head.kind() == Kind::single) [[likely]] {
        if (head.size() > single_bytes) [[unlikely]]
          refuse();
        std::memcpy(arrival.inline_bytes, unit.data, single_bytes);
        // In a burst, the lines to come are the sender's already; alone, they still are ours.
        prefetch_to_read(&lane_.unit(position + units_ahead));
        next_.store(position + 1, std::memory_order_relaxed);
      } else if (head.kind() == Kind::skip) {
        // Only before a pair, which begins a cache line: so there is never more than one.
        if (position % 2 == 0) refuse();
        next_.store(position + 1, std::memory_order_relaxed);
        continue;
      } else {
        take_large(arrival, head, position);
      }
      arrival.head = head;
      arrival.position = position;
      return true;
    }
  }

  /// The bytes of a block or piece, in shared memory. Valid until release().
  [[nodiscard]] const std::byte* block_bytes(const Arrival& arrival) const noexcept {
    return lane_.bytes(arrival.block.position);
  }

  /// Whether the sender has marked this message by now.
  [[nodiscard]] bool marked(const Arrival& arrival) const noexcept {
    const Head now{lane_.unit(arrival.position).head.load(std::memory_order_relaxed)};
    return now.marked() && now.is_at(arrival.position);
  }

  /// Gives an arrival's room back. True when that was reported to the sender, which may then be
  /// waiting for it: ring its bell. Reports are made every eighth of the ring or arena only: a
  /// report per message would make both sides fight for that line.
  bool release(const Arrival& arrival) noexcept {
    if (arrival.in_arena())
      arena_next_ = arrival.block.position + padded(arrival.block.size);
    const auto position = next_.load(std::memory_order_relaxed);
    if (position - reported_ < lane_units / 8 && arena_next_ - arena_reported_ < arena_bytes / 8)
      return false;
    report();
    return true;
  }

  void report() noexcept {
    reported_ = next_.load(std::memory_order_relaxed);
    arena_reported_ = arena_next_;
    // Partner: Sender::look_at_progress(). Our reads of the messages come before its overwriting.
    lane_.progress->word.store(static_cast<std::uint64_t>(arena_next_) << 32 | reported_,
                               std::memory_order_release);
  }

  [[nodiscard]] std::uint32_t position() const noexcept {
    return next_.load(std::memory_order_relaxed);
  }

  /// Starts anew for another sender, once the last one is gone. Gives the whole ring its pages
  /// first, for nobody knows which the last sender wrote. Throws SystemError, having done nothing.
  void restart();

  /// Arena blocks are aligned to, and take a multiple of, a cache line.
  static constexpr std::uint32_t padded(std::uint32_t size) noexcept {
    return (size + cache_line - 1) & ~static_cast<std::uint32_t>(cache_line - 1);
  }

 private:
  // Two cache lines: further ahead, the sender is still writing.
  static constexpr std::uint32_t units_ahead = 4;

  void take_large(Arrival& arrival, Head head, std::uint32_t position);
  [[noreturn]] static void refuse();

  Lane lane_;
  std::atomic<std::uint32_t> next_{0};  // atomic for has_message() only
  std::uint32_t reported_ = 0;
  std::uint32_t arena_next_ = 0;
  std::uint32_t arena_reported_ = 0;
};

}  // namespace apalis::detail::channel
