// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/sys/memory.hpp>

namespace apalis::detail::channel {

bool Sender::try_send_pair(std::uint8_t tag, const std::byte* data, std::size_t size) {
  const bool odd = next_ % 2 != 0;
  if (!has_units(odd ? 3 : 2)) return false;
  if (odd) publish(lane_.unit(next_), Head::make(next_, Kind::skip, 0, 0), 1);
  Unit& first = lane_.unit(next_);
  Unit& second = lane_.unit(next_ + 1);
  std::uint32_t middle = 0;
  std::memcpy(first.data, data, single_bytes);
  std::memcpy(&middle, data + single_bytes, sizeof middle);
  std::memcpy(second.data, data + single_bytes + sizeof middle, single_bytes);
  second.head.store(static_cast<std::uint64_t>(middle) << 32 | (next_ + 2U),
                    std::memory_order_relaxed);  // published by the first unit's head
  publish(first, Head::make(next_, Kind::pair, tag, size), 2);
  return true;
}

bool Sender::try_send_block(Kind kind, std::uint8_t tag, const std::byte* data, std::size_t size,
                            MessageSize whole, bool marked) {
  const auto bytes = static_cast<std::uint32_t>(size);
  if (!has_units(1) || !reserve_bytes(bytes)) return false;
  std::memcpy(lane_.bytes(arena_next_), data, size);
  const BlockRef block{arena_next_, bytes, whole.total, whole.head};
  arena_next_ += Receiver::padded(bytes);
  Unit& unit = lane_.unit(next_);
  std::memcpy(unit.data, &block, sizeof block);
  Head head = Head::make(next_, kind, tag, 0);
  if (marked) head.word |= Head::mark_bit;
  publish(unit, head, 1);
  return true;
}

void Sender::restart() noexcept {
  clear(lane_, backed_units_);
  next_ = last_ = freed_ = arena_next_ = arena_freed_ = 0;
  limit_ = backed_units_ < lane_units ? backed_units_ - 1 : lane_units;
}

bool Sender::make_room(std::uint32_t units) {
  if (next_ + units - freed_ > lane_units) {
    look_at_progress();
    if (next_ + units - freed_ > lane_units) return false;
  }
  // In the first lap, pages come as they are reached; the receiver polls one unit ahead of us.
  if (backed_units_ < lane_units && next_ + units >= backed_units_) back_units(next_ + units + 1);
  limit_ = backed_units_ < lane_units ? std::min(freed_ + lane_units, backed_units_ - 1)
                                      : freed_ + lane_units;
  return true;
}

void Sender::look_at_progress() {
  const auto word = lane_.progress->word.load(std::memory_order_acquire);  // partner: report()
  const auto units = static_cast<std::uint32_t>(word);
  const auto bytes = static_cast<std::uint32_t>(word >> 32);
  if (units - freed_ > next_ - freed_ || bytes - arena_freed_ > arena_next_ - arena_freed_)
    throw ProtocolViolation("it reported progress that it can't have made");
  freed_ = units;
  arena_freed_ = bytes;
}

bool Sender::reserve_bytes(std::uint32_t size) {
  const auto wanted = Receiver::padded(size);
  const auto offset = arena_next_ % arena_bytes;
  // A block never wraps around: what is left at the end is skipped, and freed with the block.
  const auto skipped = offset + wanted > arena_bytes ? arena_bytes - offset : 0;
  if (arena_next_ + skipped + wanted - arena_freed_ > arena_bytes) {
    look_at_progress();
    if (arena_next_ + skipped + wanted - arena_freed_ > arena_bytes) return false;
  }
  const auto end = skipped != 0 ? wanted : offset + wanted;
  if (end > backed_bytes_) back_bytes(end);
  arena_next_ += skipped;
  return true;
}

void Sender::back_units(std::uint32_t needed) {
  const auto target = std::min(std::max(backed_units_ * 2, needed), lane_units);
  sys::require_pages(&lane_.units[backed_units_], (target - backed_units_) * sizeof(Unit));
  backed_units_ = target;
}

void Sender::back_bytes(std::uint32_t end_offset) {
  const auto pages = (end_offset + 4095U) & ~4095U;
  const auto target = std::min(std::max(backed_bytes_ * 2, pages), arena_bytes);
  sys::require_pages(lane_.arena + backed_bytes_, target - backed_bytes_);
  backed_bytes_ = target;
}

}  // namespace apalis::detail::channel
