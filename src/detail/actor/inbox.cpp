// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/inbox.hpp>
#include <cstring>
#include <memory>
#include <utility>

namespace apalis::detail::actor {

std::uint64_t Errand::failed_posts() {
  std::uint64_t count = 0;
  const auto reply = bytes();
  std::memcpy(&count, reply.data(), std::min(reply.size(), sizeof count));
  return count;
}

Inbox::Taken Inbox::take() {
  Taken taken;
  channel::Arrival arrival;
  for (auto left = channel::lane_units; left > 0 && receiver_.try_take(arrival); --left) {
    handle(arrival);
    taken.reported |= receiver_.release(arrival);
    taken.any = true;
  }
  return taken;
}

void Inbox::forget_pieces() noexcept {
  gathered_.clear();
  gathered_.shrink(0);
  if (received_ < whole_.total && pending.front() != nullptr) pending.front()->forget_attached();
  received_ = 0;
}

void Inbox::restart() {
  receiver_.restart();
  forget_pieces();
  has_retired = false;
}

void Inbox::retire(const std::byte* bytes, std::size_t size) {
  std::uint64_t failed_posts = 0;
  if (!may_retire || has_retired || size != sizeof failed_posts)
    throw channel::ProtocolViolation("it retired though nobody asked it to");
  std::memcpy(&failed_posts, bytes, size);
  failures.take_over(failed_posts);
  has_retired = true;
}

void Inbox::handle(channel::Arrival& arrival) {
  const auto answer = static_cast<Answer>(arrival.head.tag());
  if (answer < Answer::value || answer > Answer::value_with_blocks) [[unlikely]]
    throw channel::ProtocolViolation("it sent an answer of no known kind");
  if (!arrival.in_arena()) [[likely]]
    return handle_bytes(answer, arrival, arrival.inline_bytes, arrival.head.size());
  const std::byte* block = receiver_.block_bytes(arrival);
  if (arrival.head.kind() == channel::Kind::block)
    return handle_bytes(answer, arrival, block, arrival.block.size);
  handle_piece(answer, arrival, block);
}

/// What a child claims as the sizes is only believed as its bytes come in.
void Inbox::handle_piece(Answer answer, const channel::Arrival& arrival, const std::byte* bytes) {
  const channel::BlockRef& block = arrival.block;
  State* const state = pending.front();
  if (answer != Answer::post_failed && state == nullptr)
    throw channel::ProtocolViolation("it sent a reply that nobody asked for");
  if (received_ == 0) whole_ = {block.total, block.head};
  const auto before_end = received_ < whole_.head ? whole_.head : whole_.total;
  if (block.total != whole_.total || block.head != whole_.head ||
      block.size > before_end - received_ || (block.head != block.total && answer != Answer::value))
    throw channel::ProtocolViolation("it sent pieces that make no message");
  if (received_ < whole_.head) {
    gathered_.append(bytes, block.size);
  } else if (state->phase() == State::Phase::pending) {
    auto* const attached = state->attached(whole_.total - whole_.head);
    if (attached == nullptr)
      throw channel::ProtocolViolation("it sent more than the result of its call");
    try {
      attached->append({bytes, block.size});
    } catch (const wire::Malformed& malformed) {
      throw channel::ProtocolViolation(malformed.what());
    }
  }
  received_ += block.size;
  if (received_ == whole_.total) {
    handle_bytes(answer, arrival, gathered_.data(), gathered_.size());
    forget_pieces();
  }
}

/// The names behind a result, read of what the child can still change: so each is read once. `size`
/// becomes that of the result.
wire::Holds Inbox::take_blocks(const channel::Arrival& arrival, const std::byte* bytes,
                               std::size_t& size) {
  std::span reply{bytes, size};
  const auto names = channel::cut_names(reply);
  wire::Holds blocks;
  if (!names || ledger == nullptr || !ledger->take_reply(*names, arrival.position, blocks))
    throw channel::ProtocolViolation("it named blocks that there are not");
  size = reply.size();
  return blocks;
}

void Inbox::handle_bytes(Answer answer, const channel::Arrival& arrival, const std::byte* bytes,
                         std::size_t size) {
  // What answers no request.
  if (answer == Answer::retired) [[unlikely]]
    return retire(bytes, size);
  if (answer == Answer::post_failed) [[unlikely]]
    return failures.note({bytes, size});  // copied before it is looked at, as all of a child's
  State* state = pending.front();
  if (state == nullptr) throw channel::ProtocolViolation("it sent a reply that nobody asked for");
  if (state->entry == nullptr)
    static_cast<Errand*>(state)->failures = std::exchange(failures, PostFailures{});
  wire::Holds blocks;
  if (answer == Answer::value_with_blocks) [[unlikely]]
    blocks = take_blocks(arrival, bytes, size);
  if (state->phase() == State::Phase::pending) {
    const auto kind = answer == Answer::exception ? Reply::exception : Reply::value;
    if (!blocks.empty() && !state->keep(std::move(blocks)))
      throw channel::ProtocolViolation("it sent blocks with a result that has none");
    if (answer == Answer::cancelled) {
      state->store_cancelled();
    } else if (!arrival.in_arena()) {
      state->store_small(kind, bytes, size);
    } else {
      auto copy = std::make_unique_for_overwrite<std::byte[]>(size);
      std::memcpy(copy.get(), bytes, size);
      state->store(kind, std::move(copy), size);
    }
  }
  if (journal != nullptr) [[unlikely]]
    journal->answered(*state);
  (void)pending.pop();  // only now: what throws above must leave it where the queue's end is made
  finish(*state);
}

}  // namespace apalis::detail::actor
