// SPDX-License-Identifier: BSL-1.0
#pragma once

// What was accepted and is not known to be done, kept by a parent whose workers are replaced: the
// next worker is sent what the last one had not begun.

#include <apalis/detail/actor/pending_queue.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace apalis::detail::actor {

/// **Owns** copies of the messages, in the parent's private memory: a worker can overwrite a lane.
/// **Threads:** one at a time.
/// **Blocks:** never.
/// **Ordering:** entries are sent, done and forgotten in the order in which they were accepted.
class Journal {
 public:
  struct Entry {
    Request request = Request::call;
    wire::Buffer message;
    State* state = nullptr;      // null for a post; the pending queue has the others in this order
    std::uint32_t position = 0;  // of its last unit, once it is sent
    std::size_t sent_bytes = 0;  // of a message that goes in pieces
    std::uint64_t number = 0;    // in the order in which they were accepted
  };

  /// Accepts a message, and gives its number. Throws std::bad_alloc, having kept nothing.
  std::uint64_t push(Request request, const wire::Buffer& message, State* state);

  /// Sends what is not sent yet, as far as there is room. True if something was sent. `ledger` is
  /// told of the blocks in it, and was prepared for them.
  /// Throws ProtocolViolation, SystemError; what was sent until then counts as sent.
  bool send(channel::Sender& sender, channel::BlockLedger& ledger);

  [[nodiscard]] bool all_sent() const noexcept { return sent_ == entries_.size(); }
  /// Whether the message of that number, and all before it, are sent or forgotten.
  [[nodiscard]] bool has_sent(std::uint64_t number) const noexcept {
    return all_sent() || entries_[sent_].number > number;
  }
  /// Bytes of the messages that are not sent.
  [[nodiscard]] std::size_t unsent_bytes() const noexcept { return unsent_bytes_; }

  /// The oldest entry that is not known to be done; null if there is none.
  [[nodiscard]] Entry* front() noexcept { return entries_.empty() ? nullptr : &entries_.front(); }
  [[nodiscard]] bool front_is_sent() const noexcept { return sent_ > 0; }
  void pop_front() noexcept;

  /// Forgets the call that `state` belongs to, which was answered, and all before it.
  void answered(const State& state) noexcept;
  /// Forgets the posts at the front that came before the request at `begun`.
  void passed(std::uint32_t begun) noexcept;

  /// Everything is to be sent again, to an empty lane.
  void rewind() noexcept;
  /// Forgets the calls that were cancelled after they were sent; after rewind().
  void drop_cancelled() noexcept;

  /// Forgets a call of which nothing was sent; false if there is no such call.
  bool take_back(const State& state) noexcept;
  [[nodiscard]] bool is_sent(const State& state) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  bool send(channel::Sender& sender, Entry& entry);

  std::deque<Entry> entries_;
  std::size_t sent_ = 0;  // entries from the front on that are in the lane
  std::size_t unsent_bytes_ = 0;
  std::uint64_t accepted_ = 0;  // ever
};

}  // namespace apalis::detail::actor
