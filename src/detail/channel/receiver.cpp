// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/sys/memory.hpp>

namespace apalis::detail::channel {

void Receiver::take_large(Arrival& arrival, Head head, std::uint32_t position) {
  Unit& unit = lane_.unit(position);
  switch (head.kind()) {
    case Kind::pair: {
      if (position % 2 != 0 || head.size() > pair_bytes) refuse();
      const Unit& second = lane_.unit(position + 1);
      const auto middle =
          static_cast<std::uint32_t>(second.head.load(std::memory_order_relaxed) >> 32);
      std::memcpy(arrival.inline_bytes, unit.data, single_bytes);
      std::memcpy(arrival.inline_bytes + single_bytes, &middle, sizeof middle);
      std::memcpy(arrival.inline_bytes + single_bytes + sizeof middle, second.data, single_bytes);
      next_.store(position + 2, std::memory_order_relaxed);
      return;
    }
    case Kind::block:
    case Kind::piece: {
      std::memcpy(&arrival.block, unit.data, sizeof arrival.block);
      const BlockRef& block = arrival.block;
      const bool whole = head.kind() == Kind::block;
      if (block.size == 0 || block.size > block_limit || block.position % cache_line != 0 ||
          block.position % arena_bytes + block.size > arena_bytes || block.total < block.size ||
          block.head > block.total || (whole && block.total != block.size))
        refuse();
      next_.store(position + 1, std::memory_order_relaxed);
      return;
    }
    case Kind::single:
    case Kind::skip:
      break;  // handled by the caller
  }
  refuse();
}

void Receiver::restart() {
  sys::require_pages(lane_.units, ring_bytes);
  clear(lane_, lane_units);
  next_.store(0, std::memory_order_relaxed);
  reported_ = arena_next_ = arena_reported_ = 0;
}

void Receiver::refuse() { throw ProtocolViolation("it wrote a message of no known form"); }

}  // namespace apalis::detail::channel
