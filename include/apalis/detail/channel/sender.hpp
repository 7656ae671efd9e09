// SPDX-License-Identifier: BSL-1.0
#pragma once

// The producing end of a lane.

#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/core/prefetch.hpp>
#include <cstring>
#include <stdexcept>

namespace apalis::detail::channel {

/// The peer wrote what no peer of ours writes. Its process can't be trusted any more.
class ProtocolViolation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The bytes of a message that goes in pieces.
struct MessageSize {
  std::uint64_t total;
  std::uint64_t head;  // of them, those before the attachments
  explicit(false) MessageSize(std::uint64_t t) noexcept : MessageSize(t, t) {}
  MessageSize(std::uint64_t t, std::uint64_t h) noexcept : total(t), head(h) {}
};

/// **Owns** its position; the memory is the slice's.
/// **Threads:** one at a time.
/// **Blocks:** never: try_send() and try_send_piece() return false while there is no room.
/// **Peer death:** room then stays as it is; the caller's wait must look at the peer.
/// **Throws** ProtocolViolation, and SystemError where the machine has no memory left.
/// **Ordering:** messages arrive in the order they were sent.
class Sender {
 public:
  /// `backed`: the whole lane has its pages already; otherwise only the ring's first page has.
  Sender(Lane lane, bool backed) noexcept
      : lane_(lane),
        limit_(backed ? lane_units : first_backed - 1),
        backed_units_(backed ? lane_units : first_backed),
        backed_bytes_(backed ? arena_bytes : 0) {}

  /// Sends a message of up to block_limit bytes. Where size <= pair_bytes, `data` must be readable
  /// for pair_bytes bytes: copying a constant size is what makes this cheap.
  [[nodiscard]] bool try_send(std::uint8_t tag, const std::byte* data, std::size_t size) {
    if (size <= single_bytes) {
      if (!has_units(1)) [[unlikely]]
        return false;
      Unit& unit = lane_.unit(next_);
      std::memcpy(unit.data, data, single_bytes);
      publish(unit, Head::make(next_, Kind::single, tag, size), 1);
      return true;
    }
    if (size <= pair_bytes) return try_send_pair(tag, data, size);
    return try_send_block(Kind::block, tag, data, size, {size, size}, false);
  }

  /// Sends the next part (1 to block_limit bytes) of a message, whose last part is the one that
  /// completes it; the head ends with a part. `marked`: as if mark() had come before the receiver
  /// could look.
  [[nodiscard]] bool try_send_piece(std::uint8_t tag, const std::byte* data, std::size_t size,
                                    MessageSize whole, bool marked = false) {
    return try_send_block(Kind::piece, tag, data, size, whole, marked);
  }

  /// Gives the whole lane its pages now, so that no later send can fail for want of memory: before
  /// the first piece of a message, which could not be taken back.
  void back_all() {
    if (backed_units_ < lane_units) back_units(lane_units);
    if (backed_bytes_ < arena_bytes) back_bytes(arena_bytes);
  }

  /// Whether the receiver has reported anything since this side last looked.
  [[nodiscard]] bool has_progress() const noexcept { return has_progress_since(progress_seen()); }

  /// Where the unit sent last lies: mark() takes it.
  [[nodiscard]] std::uint32_t last_position() const noexcept { return last_; }

  /// No message to come lies before this.
  [[nodiscard]] std::uint32_t next_position() const noexcept { return next_; }

  /// Marks a sent message, if its unit has not been reused. The receiver sees it with
  /// Receiver::marked() unless it looked before.
  bool mark(std::uint32_t position) noexcept {
    if (next_ - position > lane_units) return false;
    auto& head = lane_.unit(position).head;
    // Only this side writes the unit while it is in flight, so no exchange is needed. Released
    // again, for the receiver may find the message by this store. Partner: Receiver::try_take().
    head.store(head.load(std::memory_order_relaxed) | Head::mark_bit, std::memory_order_release);
    return true;
  }

  /// What has_progress_since() compares with.
  [[nodiscard]] std::uint64_t progress_seen() const noexcept {
    return static_cast<std::uint64_t>(arena_freed_) << 32 | freed_;
  }
  /// Whether the receiver has reported anything since then. Any thread may ask.
  [[nodiscard]] bool has_progress_since(std::uint64_t seen) const noexcept {
    return lane_.progress->word.load(std::memory_order_relaxed) != seen;
  }

  /// Starts anew for another receiver, once the last one is gone: an empty lane whose pages stay.
  void restart() noexcept;

 private:
  static constexpr std::uint32_t units_ahead = 8;  // four cache lines
  static constexpr std::uint32_t first_backed = 4096 / sizeof(Unit);

  [[nodiscard]] bool has_units(std::uint32_t count) {
    return static_cast<std::int32_t>(limit_ - next_) >= static_cast<std::int32_t>(count) ||
           make_room(count);
  }

  void publish(Unit& unit, Head head, std::uint32_t units) noexcept {
    last_ = next_;
    next_ += units;
    unit.head.store(head.word, std::memory_order_release);  // partner: Receiver::try_take()
    // The receiver's copy of a line written soon is invalidated now, not while we wait for it.
    prefetch_to_write(&lane_.unit(next_ + units_ahead));
  }

  bool try_send_pair(std::uint8_t tag, const std::byte* data, std::size_t size);
  bool try_send_block(Kind kind, std::uint8_t tag, const std::byte* data, std::size_t size,
                      MessageSize whole, bool marked);
  bool make_room(std::uint32_t units);
  void look_at_progress();
  [[nodiscard]] bool reserve_bytes(std::uint32_t size);
  void back_units(std::uint32_t needed);
  void back_bytes(std::uint32_t end_offset);

  // Positions count over all laps and wrap at 2^32.
  Lane lane_;
  std::uint32_t next_ = 0;        // unit to be written next
  std::uint32_t limit_;           // units before it may be written without looking
  std::uint32_t last_ = 0;        // head of the message sent last
  std::uint32_t freed_ = 0;       // units before it were consumed, when last looked at
  std::uint32_t backed_units_;    // units that have pages; the one after the last sent always has
  std::uint32_t arena_next_ = 0;  // byte to be written next
  std::uint32_t arena_freed_ = 0;
  std::uint32_t backed_bytes_;
};

}  // namespace apalis::detail::channel
