// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/journal.hpp>
#include <apalis/detail/core/protocol_point.hpp>

namespace apalis::detail::actor {

std::uint64_t Journal::push(Request request, const wire::Buffer& message, State* state) {
  Entry& entry = entries_.emplace_back();
  try {
    entry.message.append_all(message);
  } catch (...) {
    entries_.pop_back();
    throw;
  }
  entry.request = request;
  entry.state = state;
  entry.number = ++accepted_;
  unsent_bytes_ += message.size();
  return entry.number;
}

bool Journal::send(channel::Sender& sender, channel::BlockLedger& ledger) {
  bool any = false;
  while (sent_ < entries_.size()) {
    Entry& entry = entries_[sent_];
    const auto before = entry.sent_bytes;
    ledger.invite(entry.message.holds());
    const bool whole = send(sender, entry);
    any |= whole || entry.sent_bytes != before;
    if (!whole) break;
    entry.position = sender.last_position();
    ledger.grant(entry.message.holds(), entry.position);
    if (entry.state != nullptr) entry.state->position = entry.position;
    unsent_bytes_ -= entry.message.size();
    ++sent_;
  }
  return any;
}

bool Journal::send(channel::Sender& sender, Entry& entry) {
  const auto tag = static_cast<std::uint8_t>(entry.request);
  const std::byte* bytes = entry.message.data();
  const auto size = entry.message.size();
  if (size <= channel::block_limit) return sender.try_send(tag, bytes, size);
  sender.back_all();
  while (entry.sent_bytes < size) {
    const auto part = std::min<std::size_t>(size - entry.sent_bytes, channel::block_limit);
    // What was cancelled with some of it sent tells so in its last piece, where the worker looks.
    const bool cancelled =
        entry.state != nullptr && entry.state->phase() == State::Phase::early;
    if (!sender.try_send_piece(tag, bytes + entry.sent_bytes, part, size, cancelled)) return false;
    entry.sent_bytes += part;
    reach(Point::parent_piece);
  }
  return true;
}

void Journal::pop_front() noexcept {
  if (sent_ > 0) {
    --sent_;
  } else {
    unsent_bytes_ -= entries_.front().message.size();
  }
  entries_.pop_front();
}

void Journal::answered(const State& state) noexcept {
  while (sent_ > 0) {
    const bool last = entries_.front().state == &state;
    pop_front();
    if (last) return;
  }
}

void Journal::passed(std::uint32_t begun) noexcept {
  while (sent_ > 0 && entries_.front().state == nullptr &&
         !channel::is_at_or_after(entries_.front().position, begun))
    pop_front();
}

void Journal::rewind() noexcept {
  for (Entry& entry : entries_) entry.sent_bytes = 0;
  for (; sent_ > 0; --sent_) unsent_bytes_ += entries_[sent_ - 1].message.size();
}

void Journal::drop_cancelled() noexcept {
  std::erase_if(entries_, [this](const Entry& entry) {
    const bool cancelled = entry.state != nullptr && entry.state->phase() == State::Phase::early;
    if (cancelled) unsent_bytes_ -= entry.message.size();
    return cancelled;
  });
}

bool Journal::take_back(const State& state) noexcept {
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(sent_);
  const auto at =
      std::find_if(first, entries_.end(), [&](const Entry& e) { return e.state == &state; });
  if (at == entries_.end() || at->sent_bytes != 0) return false;
  unsent_bytes_ -= at->message.size();
  entries_.erase(at);
  return true;
}

bool Journal::is_sent(const State& state) const noexcept {
  const auto last = entries_.begin() + static_cast<std::ptrdiff_t>(sent_);
  return std::any_of(entries_.begin(), last, [&](const Entry& e) { return e.state == &state; });
}

}  // namespace apalis::detail::actor
