// SPDX-License-Identifier: BSL-1.0
#pragma once

// What lies in shared memory, and where. One slice of the region is one duplex channel:
//
//   control page | request units | reply units | request arena | reply arena
//
// A lane is one direction: a ring of 32-byte units that carry or describe messages, and a byte
// arena for what does not fit a unit pair. Every word has one writer at a time.

#include <apalis/detail/sys/crash_report.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace apalis::detail::channel {

inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t line_pair = 128;  // adjacent lines are prefetched together

/// The kinds of a unit's message.
enum class Kind : std::uint8_t {
  single = 1,  // up to 24 bytes in this unit
  pair,        // up to 52 bytes in this unit and the next; starts at an even position
  skip,        // nothing: keeps a pair from straddling two cache lines
  block,       // a whole message in the arena
  piece,       // part of a message larger than a block; more follow
};

/// The word that publishes a unit: the stamp says which lap's message this is, so that a consumer
/// needs neither a shared counter nor a fence. A stamp word never holds anything else.
///
///   bits 0-31 position + 1 | 32-35 kind | 36 marked | 40-47 tag | 48-63 inline size
struct Head {
  std::uint64_t word = 0;

  static constexpr std::uint64_t mark_bit = std::uint64_t{1} << 36;

  static constexpr Head make(std::uint32_t position, Kind kind, std::uint8_t tag,
                             std::size_t size) noexcept {
    return {static_cast<std::uint64_t>(position + 1U) |
            static_cast<std::uint64_t>(static_cast<std::uint8_t>(kind)) << 32 |
            static_cast<std::uint64_t>(tag) << 40 | static_cast<std::uint64_t>(size) << 48};
  }
  [[nodiscard]] constexpr bool is_at(std::uint32_t position) const noexcept {
    return static_cast<std::uint32_t>(word) == position + 1U;
  }
  [[nodiscard]] constexpr Kind kind() const noexcept { return static_cast<Kind>(word >> 32 & 0xf); }
  [[nodiscard]] constexpr bool marked() const noexcept { return (word & mark_bit) != 0; }
  [[nodiscard]] constexpr std::uint8_t tag() const noexcept {
    return static_cast<std::uint8_t>(word >> 40);
  }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return word >> 48; }
};

inline constexpr std::size_t single_bytes = 24;
inline constexpr std::size_t pair_bytes = 52;

/// Half a cache line. In the second unit of a pair, the upper half of `head` carries data.
struct alignas(32) Unit {
  std::atomic<std::uint64_t> head;
  std::byte data[single_bytes];
};
static_assert(sizeof(Unit) == 32);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Content of a block's or piece's unit.
struct BlockRef {
  std::uint32_t position = 0;  // of its first byte, counted over all laps of the arena
  std::uint32_t size = 0;
  std::uint64_t total = 0;  // bytes of the whole message
  std::uint64_t head = 0;   // of them, those before the attachments; all where there are none
};
static_assert(sizeof(BlockRef) <= single_bytes);

/// How far the consumer of a lane has come; written by it alone.
struct alignas(line_pair) Progress {
  std::atomic<std::uint64_t> word;  // units in the low half, arena bytes in the high half
};

/// Where a process sleeps; see Doorbell.
struct alignas(line_pair) Bell {
  std::atomic<std::uint32_t> asleep;
  std::atomic<std::uint32_t> epoch;
  std::atomic<std::uint32_t> leaves;  // the child ends by itself, and takes up nothing any more: 1
};

/// The core on which a process began its last wait, plus 1; 0 if it has not waited yet. A hint.
struct alignas(line_pair) CoreHint {
  std::atomic<std::uint32_t> core;
};

/// The first page of a slice.
struct ControlPage {
  Progress request_progress;  // by the child
  Progress reply_progress;    // by the parent
  Bell child_bell;
  Bell parent_bell;  // `asleep` only: the parent's epoch is the region's
  struct alignas(line_pair) {
    std::atomic<std::uint32_t> considered;  // position of the request taken up last
    std::atomic<std::uint32_t> begun;       // and of the one that was not found cancelled
    std::atomic<std::uint32_t> finished;    // of the last request that was run to its end
    std::atomic<std::int64_t> begun_at;     // ns on the steady clock, if orders.timed
    std::atomic<std::uint32_t> made;        // the object is: 1
    std::atomic<std::uint32_t> let_go;      // how often of a block, if orders.tell_let_go
    std::atomic<std::uint64_t> steps;       // of a call: actor::step_word()
  } calls;                                  // by the child
  struct alignas(line_pair) {
    std::atomic<std::uint32_t> counted;  // this child is in the region's count of awake ones
    std::atomic<std::uint32_t> core;     // and on this core + 1, by RegionHeader::workers_on
  } awake;                               // by the child
  struct alignas(line_pair) {
    std::atomic<std::int32_t> pid;  // of the process that this nursery made last
  } spawned;                        // by the child; by the parent while there is none
  CoreHint parent_core;
  CoreHint child_core;
  struct alignas(line_pair) {
    std::atomic<std::uint32_t> cancels;  // how many messages were marked so far
    std::atomic<std::uint32_t> discard;  // drop whatever has not begun
    std::atomic<std::uint32_t> timed;    // some calls have a time limit: say when they begin
    std::atomic<std::uint32_t> tell_let_go;  // the parent waits for blocks that this child has
    std::atomic<std::uint64_t> stop;     // stop_order() of a running call that shall end early
    std::atomic<std::uint64_t> steps;    // actor::limit_word() of a call, or 0
  } orders;                              // by the parent
  alignas(line_pair) sys::CrashReport crash;  // by the child; the parent looks once it is dead
};
static_assert(sizeof(ControlPage) <= 4096);

/// No request, in ControlPage::calls.
inline constexpr std::uint32_t nothing_yet = ~std::uint32_t{0};

/// Never 0, so that an empty word asks nobody to stop.
constexpr std::uint64_t stop_order(std::uint32_t position) noexcept {
  return std::uint64_t{1} << 32 | position;
}

/// Positions count modulo 2^32.
constexpr bool is_at_or_after(std::uint32_t position, std::uint32_t other) noexcept {
  return static_cast<std::int32_t>(position - other) >= 0;
}

/// Sizes of one slice.
inline constexpr std::uint32_t lane_units = 2048;
inline constexpr std::uint32_t arena_bytes = 256 * 1024;
inline constexpr std::size_t ring_bytes = lane_units * sizeof(Unit);
inline constexpr std::uint32_t block_limit = arena_bytes / 4;  // larger messages go in pieces
inline constexpr std::size_t control_bytes = 4096;
inline constexpr std::size_t slice_bytes = std::size_t{1} << 20;
inline constexpr std::size_t lane_bytes =
    control_bytes + 2 * ring_bytes + std::size_t{2} * arena_bytes;

/// Blocks that a process can share at once. They have numbers below this.
inline constexpr std::uint32_t most_blocks = 32 * 1024;

/// What a worker says of one block, behind the lanes of its slice.
struct HeldWord {
  std::atomic<std::uint32_t> count;     // references of this worker: none can be made of 0
  std::atomic<std::uint32_t> in_reply;  // reply_mark() of the last reply with such a reference
};  // by the child
static_assert(sizeof(HeldWord) == 8);
/// And its own workers, who had the block from a copy of the worker's memory: until it ends.
using InheritedByte = std::atomic<std::uint8_t>;
static_assert(lane_bytes + most_blocks * (sizeof(HeldWord) + sizeof(InheritedByte)) <= slice_bytes);

/// Never 0, so that an empty word tells of no reply.
constexpr std::uint32_t reply_mark(std::uint32_t position) noexcept {
  return position == ~std::uint32_t{0} ? 1 : position + 1;
}

/// More cores than these are used, but workers on them are not told apart.
inline constexpr std::size_t most_cores = 1024;

/// The first page of the region, shared by all its processes. It carries hints only: whatever a
/// child writes here can cost time, never the parent's correctness. Behind it, one word a block: the
/// generation of the one that is there now, 0 for none, for a child to whom a fork left a reference.
struct RegionHeader {
  struct alignas(line_pair) {
    std::atomic<std::uint32_t> epoch;
  } parent;  // where the parent's threads sleep
  struct alignas(line_pair) {
    std::atomic<std::int32_t> children;
  } awake;  // children not asleep
  std::atomic<std::uint16_t> workers_on[most_cores];  // how many of them on each core
};
static_assert(sizeof(RegionHeader) <= control_bytes);

using GenerationWord = std::atomic<std::uint32_t>;  // by the parent
inline constexpr std::size_t generations_bytes = most_blocks * sizeof(GenerationWord);
static_assert(control_bytes + generations_bytes <= slice_bytes);

}  // namespace apalis::detail::channel
