// SPDX-License-Identifier: BSL-1.0
#pragma once

// The parent's reading of a worker's replies: from bytes that a child wrote to settled states.

#include <apalis/detail/actor/journal.hpp>
#include <apalis/detail/actor/pending_queue.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <cstddef>
#include <cstdint>

namespace apalis::detail::actor {

/// A drain or close, which no token waits for. The only states without an entry.
struct Errand final : State {
  PostFailures failures;  // those known when it was answered

  /// Its reply: the count of failed posts. Throws what it failed with.
  [[nodiscard]] std::uint64_t failed_posts();
};

/// **Owns** the reading end of the reply lane; the queued states are their tokens'.
/// **Threads:** one at a time, but has_message() from any.
/// **Blocks:** never.
/// **Peer:** every byte is a child's. It is copied before it is looked at, every length is bounded
/// by bytes that came, and what no worker of ours sends is a ProtocolViolation.
/// **Ordering:** replies settle the pending states from the oldest on.
class Inbox {
 public:
  explicit Inbox(channel::Lane replies) noexcept : receiver_(replies) {}

  /// Whether something is there to be taken. Any thread may ask.
  [[nodiscard]] bool has_message() const noexcept { return receiver_.has_message(); }

  /// Whether the worker was ever heard of.
  [[nodiscard]] bool has_heard() const noexcept { return receiver_.position() != 0; }

  struct Taken {
    bool any = false;       // something was taken
    bool reported = false;  // and its room given back: the worker may be waiting for that
  };

  /// Takes in the replies that are there, a lane's length of them at most: a worker that never
  /// stops talking must not keep its parent. Throws ProtocolViolation, std::bad_alloc.
  Taken take();

  /// Gives back the memory of a message that will never be whole.
  void forget_pieces() noexcept;

  /// Starts anew for another worker, once the last one is gone; the pending states stay. Throws
  /// SystemError, having done nothing.
  void restart();

  PendingQueue pending;        // whose replies are due
  PostFailures failures;       // told since the last errand was answered
  Journal* journal = nullptr;  // told of each call that was answered
  channel::BlockLedger* ledger = nullptr;  // of the worker
  bool may_retire = false;     // the worker was told to, after some calls
  bool has_retired = false;    // and has: its count of failed posts is added to the failures

 private:
  void handle(channel::Arrival& arrival);
  void handle_piece(Answer answer, const channel::Arrival& arrival, const std::byte* bytes);
  void retire(const std::byte* bytes, std::size_t size);
  [[nodiscard]] wire::Holds take_blocks(const channel::Arrival& arrival, const std::byte* bytes,
                                        std::size_t& size);
  void handle_bytes(Answer answer, const channel::Arrival& arrival, const std::byte* bytes,
                    std::size_t size);

  channel::Receiver receiver_;
  wire::Buffer gathered_;       // of a large reply, what comes before the attachments
  std::uint64_t received_ = 0;  // and how much of all
  channel::MessageSize whole_{0};  // of what its first piece announced
};

}  // namespace apalis::detail::actor
