// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/channel/layout.hpp>
#include <cstddef>
#include <cstdint>

#include "support/catch.hpp"

using namespace apalis::detail::channel;

// What two processes of one image agree on; a change here is a change of the format.
static_assert(sizeof(Unit) == 32);
static_assert(alignof(Unit) == 32);
static_assert(offsetof(Unit, head) == 0 && offsetof(Unit, data) == 8);
static_assert(sizeof(BlockRef) == 24 && offsetof(BlockRef, total) == 8);
static_assert(sizeof(Progress) == line_pair && sizeof(Bell) == line_pair);
static_assert(sizeof(ControlPage) <= control_bytes && control_bytes % 4096 == 0);
static_assert(offsetof(ControlPage, reply_progress) % line_pair == 0);
static_assert(offsetof(ControlPage, child_bell) % line_pair == 0);
static_assert(offsetof(ControlPage, parent_bell) % line_pair == 0);
static_assert(offsetof(ControlPage, calls) % line_pair == 0);
static_assert(offsetof(ControlPage, awake) % line_pair == 0);
static_assert(offsetof(ControlPage, orders) % line_pair == 0);
static_assert(offsetof(ControlPage, crash) % line_pair == 0);
static_assert(sizeof(RegionHeader) <= control_bytes);
static_assert(offsetof(RegionHeader, awake) % line_pair == 0);
static_assert(ring_bytes % 4096 == 0 && arena_bytes % 4096 == 0 && slice_bytes % 4096 == 0);
static_assert(pair_bytes == 2 * single_bytes + 4);
static_assert(block_limit % cache_line == 0 && 4 * block_limit <= arena_bytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

TEST_CASE("a head keeps what it was made of", "[layout]") {
  for (const std::uint32_t position : {0U, 1U, 2047U, 2048U, 0x7fffffffU, 0xfffffffeU, 0xffffffffU})
    for (const Kind kind : {Kind::single, Kind::pair, Kind::skip, Kind::block, Kind::piece})
      for (const auto tag : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{255}})
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, single_bytes, pair_bytes}) {
          const auto head = Head::make(position, kind, tag, size);
          CHECK(head.is_at(position));
          CHECK(head.kind() == kind);
          CHECK(head.tag() == tag);
          CHECK(head.size() == size);
          CHECK_FALSE(head.marked());
        }
}

TEST_CASE("a head is at its own position alone", "[layout]") {
  for (const std::uint32_t position : {0U, 5U, 0xfffffffeU, 0xffffffffU}) {
    const auto head = Head::make(position, Kind::pair, 255, pair_bytes);
    CHECK_FALSE(head.is_at(position + 1));
    CHECK_FALSE(head.is_at(position - 1));
    CHECK_FALSE(head.is_at(position + lane_units));
    CHECK_FALSE(head.is_at(position - lane_units));
  }
  // Fresh memory holds no message.
  CHECK_FALSE(Head{}.is_at(0));
  CHECK_FALSE(Head{}.is_at(lane_units - 1));
}

TEST_CASE("a mark changes nothing else", "[layout]") {
  const auto head = Head::make(77, Kind::piece, 255, 0xffff);
  const Head marked{head.word | Head::mark_bit};
  CHECK(marked.marked());
  CHECK(marked.is_at(77));
  CHECK(marked.kind() == Kind::piece);
  CHECK(marked.tag() == 255);
  CHECK(marked.size() == 0xffff);
}
