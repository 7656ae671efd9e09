// SPDX-License-Identifier: BSL-1.0
//
// One thread plays both ends: what is sent arrives, whole and in order, whatever its size, wherever
// in the ring and the arena it comes to lie, and however full they are.
#include <algorithm>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "lane_memory.hpp"
#include "support/catch.hpp"

using namespace apalis::detail::channel;
using apalis::test::content;
using apalis::test::LaneMemory;
using apalis::test::Message;
using apalis::test::message_of;
using apalis::test::send;
using apalis::test::some_size;
using apalis::test::take;

// The ends' own counts, which would take minutes of messages to get near 2^32. An explicit
// instantiation may name private members.
template <auto Next, auto Freed, auto Limit, auto ArenaNext, auto ArenaFreed>
struct SenderCounts {
  friend void set_counts(Sender& sender, std::uint32_t unit, std::uint32_t byte) {
    sender.*Next = sender.*Freed = unit;
    sender.*Limit = unit + lane_units;
    sender.*ArenaNext = sender.*ArenaFreed = byte;
  }
};
void set_counts(Sender& sender, std::uint32_t unit, std::uint32_t byte);
template struct SenderCounts<&Sender::next_, &Sender::freed_, &Sender::limit_, &Sender::arena_next_,
                             &Sender::arena_freed_>;

template <auto Next, auto Reported, auto ArenaNext, auto ArenaReported>
struct ReceiverCounts {
  friend void set_counts(Receiver& receiver, std::uint32_t unit, std::uint32_t byte) {
    receiver.*Next = unit;
    receiver.*Reported = unit;
    receiver.*ArenaNext = receiver.*ArenaReported = byte;
  }
};
void set_counts(Receiver& receiver, std::uint32_t unit, std::uint32_t byte);
template struct ReceiverCounts<&Receiver::next_, &Receiver::reported_, &Receiver::arena_next_,
                               &Receiver::arena_reported_>;

namespace {

struct Ends {
  LaneMemory memory;
  Sender sender{memory.lane(), true};
  Receiver receiver{memory.lane()};
};

/// Makes an unused lane look as if so many units and bytes had gone through it.
void start_at(Ends& ends, std::uint32_t unit, std::uint32_t byte) {
  set_counts(ends.sender, unit, byte);
  set_counts(ends.receiver, unit, byte);
  ends.memory.progress().word = static_cast<std::uint64_t>(byte) << 32 | unit;
}

Kind kind_of(std::size_t size) {
  return size <= single_bytes ? Kind::single : size <= pair_bytes ? Kind::pair : Kind::block;
}

/// Sends and takes one message, and looks at it on the way.
void check_round_trip(Ends& ends, const Message& sent) {
  REQUIRE(send(ends.sender, sent));
  REQUIRE(ends.receiver.has_message());
  Arrival arrival;
  REQUIRE(ends.receiver.try_take(arrival));
  CHECK(arrival.head.kind() == kind_of(sent.bytes.size()));
  CHECK(arrival.position == ends.sender.last_position());
  if (arrival.in_arena()) CHECK(arrival.block.total == sent.bytes.size());
  CHECK(content(ends.receiver, arrival) == sent);
  ends.receiver.release(arrival);
  CHECK_FALSE(ends.receiver.has_message());
  CHECK_FALSE(ends.receiver.try_take(arrival));
}

/// Bursts of sending and of taking, compared with a queue that can't be wrong. In each phase one
/// side is faster, so that the lane runs full and empty.
void compare_with_queue(Ends& ends, std::uint64_t seed, int steps) {
  std::mt19937_64 random{seed};
  std::deque<Message> queue;
  std::uint64_t number = 0;
  std::uint64_t refused = 0;
  std::uint64_t found_empty = 0;
  unsigned eagerness = 8;
  for (int step = 0; step < steps; ++step) {
    if (step % 500 == 0) eagerness = 3 + static_cast<unsigned>(random() % 11);
    if (random() % 16 < eagerness) {
      auto message = message_of(some_size(random), number);
      if (send(ends.sender, message)) {
        ++number;
        queue.push_back(std::move(message));
      } else {
        ++refused;
        REQUIRE_FALSE(queue.empty());  // an empty lane has room for any message
      }
    } else if (const auto message = take(ends.receiver)) {
      REQUIRE_FALSE(queue.empty());
      if (*message != queue.front()) FAIL(*message << " came instead of " << queue.front());
      queue.pop_front();
    } else {
      ++found_empty;
      REQUIRE(queue.empty());
    }
    REQUIRE(ends.receiver.has_message() != queue.empty());
  }
  while (!queue.empty()) {
    REQUIRE(take(ends.receiver) == queue.front());
    queue.pop_front();
  }
  CHECK(refused > 0);
  CHECK(found_empty > 0);
}

}  // namespace

TEST_CASE("messages of every small size arrive whole", "[sender]") {
  Ends ends;
  for (std::size_t size = 0; size <= 200; ++size) check_round_trip(ends, message_of(size, size));
}

TEST_CASE("messages of every small size arrive whole from odd positions", "[sender]") {
  Ends ends;
  for (std::size_t size = 0; size <= 200; ++size) {
    if (ends.receiver.position() % 2 == 0) check_round_trip(ends, message_of(0, 1));
    REQUIRE(ends.receiver.position() % 2 == 1);
    check_round_trip(ends, message_of(size, size));
  }
}

TEST_CASE("messages around the largest size arrive whole", "[sender]") {
  Ends ends;
  for (std::size_t size = block_limit - 130; size <= block_limit; ++size)
    check_round_trip(ends, message_of(size, size));
  for (std::size_t size = 4000; size <= 4200; ++size)
    check_round_trip(ends, message_of(size, size));
}

TEST_CASE("every tag arrives", "[sender]") {
  Ends ends;
  for (unsigned tag = 0; tag < 256; ++tag)
    for (const std::size_t size : {0U, 30U, 100U}) check_round_trip(ends, message_of(size, tag));
}

TEST_CASE("messages arrive in the order they were sent", "[sender]") {
  Ends ends;
  std::vector<Message> sent;
  for (std::size_t size = 0; size <= 200; ++size) {
    sent.push_back(message_of(size, size));
    REQUIRE(send(ends.sender, sent.back()));
  }
  for (const auto& message : sent) CHECK(take(ends.receiver) == message);
  CHECK_FALSE(take(ends.receiver));
}

TEST_CASE("a pair lies in one cache line", "[sender]") {
  Ends ends;
  for (int i = 0; i < 3000; ++i) {
    const auto pair = message_of(40, static_cast<std::uint64_t>(i));
    REQUIRE(send(ends.sender, pair));
    CHECK(ends.sender.last_position() % 2 == 0);
    REQUIRE(take(ends.receiver) == pair);
    if (i % 3 == 0) {
      REQUIRE(send(ends.sender, message_of(3, 3)));
      REQUIRE(take(ends.receiver) == message_of(3, 3));
    }
  }
}

TEST_CASE("a full ring refuses, and goes on after a release", "[sender]") {
  Ends ends;
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  while (send(ends.sender, message_of(8, sent))) ++sent;
  CHECK(sent == lane_units);
  CHECK_FALSE(ends.sender.has_progress());
  for (int lap = 0; lap < 40; ++lap) {
    const auto want = 1 + static_cast<std::uint64_t>(lap) * 61 % lane_units;
    for (std::uint64_t i = 0; i < want; ++i) REQUIRE(take(ends.receiver) == message_of(8, taken++));
    ends.receiver.report();
    CHECK(ends.sender.has_progress());
    while (send(ends.sender, message_of(8, sent))) ++sent;
    CHECK(sent - taken == lane_units);
    CHECK_FALSE(ends.sender.has_progress());
  }
}

TEST_CASE("what is released comes back without being asked for", "[sender]") {
  Ends ends;
  const auto limit = GENERATE(std::size_t{8}, std::size_t{52}, std::size_t{1000},
                              std::size_t{block_limit - 63}, std::size_t{block_limit});
  CAPTURE(limit);
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  while (send(ends.sender, message_of(limit, sent))) ++sent;
  REQUIRE(sent > 0);
  // Reports come in eighths: no more than that is missing once everything was taken.
  while (const auto message = take(ends.receiver)) REQUIRE(*message == message_of(limit, taken++));
  REQUIRE(taken == sent);
  CHECK(ends.sender.has_progress());
  REQUIRE(send(ends.sender, message_of(limit, sent)));
  CHECK(take(ends.receiver) == message_of(limit, sent));
}

TEST_CASE("a ring with one unit left takes a single and refuses a pair", "[sender]") {
  Ends ends;
  for (std::uint64_t i = 0; i < lane_units - 1; ++i) REQUIRE(send(ends.sender, message_of(8, i)));
  CHECK_FALSE(send(ends.sender, message_of(40, 1)));
  CHECK_FALSE(send(ends.sender, message_of(40, 1)));
  CHECK(send(ends.sender, message_of(8, lane_units - 1)));
  CHECK_FALSE(send(ends.sender, message_of(8, 1)));
  for (std::uint64_t i = 0; i < lane_units; ++i) REQUIRE(take(ends.receiver) == message_of(8, i));
  CHECK_FALSE(take(ends.receiver));
}

TEST_CASE("a ring with three units left at an odd position takes one pair", "[sender]") {
  Ends ends;
  for (std::uint64_t i = 0; i < lane_units - 3; ++i) REQUIRE(send(ends.sender, message_of(8, i)));
  CHECK(send(ends.sender, message_of(40, 1)));
  CHECK_FALSE(send(ends.sender, message_of(0, 2)));
  for (std::uint64_t i = 0; i < lane_units - 3; ++i)
    REQUIRE(take(ends.receiver) == message_of(8, i));
  CHECK(take(ends.receiver) == message_of(40, 1));
  CHECK_FALSE(take(ends.receiver));
}

TEST_CASE("a ring full of pairs", "[sender]") {
  Ends ends;
  std::uint64_t sent = 0;
  while (send(ends.sender, message_of(52, sent))) ++sent;
  CHECK(sent == lane_units / 2);
  for (std::uint64_t i = 0; i < sent; ++i) REQUIRE(take(ends.receiver) == message_of(52, i));
}

TEST_CASE("a full arena refuses blocks, takes inline messages, and goes on", "[sender]") {
  Ends ends;
  std::uint64_t sent = 0;
  while (send(ends.sender, message_of(block_limit, sent))) ++sent;
  CHECK(sent == arena_bytes / block_limit);
  CHECK_FALSE(send(ends.sender, message_of(pair_bytes + 1, 9)));
  CHECK(send(ends.sender, message_of(10, 10)));
  CHECK(send(ends.sender, message_of(50, 11)));
  REQUIRE(take(ends.receiver) == message_of(block_limit, 0));
  CHECK(send(ends.sender, message_of(block_limit, 12)));
  CHECK_FALSE(send(ends.sender, message_of(pair_bytes + 1, 9)));
  for (std::uint64_t i = 1; i < sent; ++i)
    REQUIRE(take(ends.receiver) == message_of(block_limit, i));
  CHECK(take(ends.receiver) == message_of(10, 10));
  CHECK(take(ends.receiver) == message_of(50, 11));
  CHECK(take(ends.receiver) == message_of(block_limit, 12));
  CHECK_FALSE(take(ends.receiver));
}

TEST_CASE("a block that does not fit before the arena's end goes to its start", "[sender]") {
  Ends ends;
  std::uint64_t number = 0;
  // 48 kB and a line: five of them leave a gap of 15.7 kB at the end, lap for lap.
  for (int i = 0; i < 300; ++i, ++number) {
    const auto message = message_of(49'153, number);
    REQUIRE(send(ends.sender, message));
    Arrival arrival;
    REQUIRE(ends.receiver.try_take(arrival));
    CHECK(arrival.block.position % arena_bytes + arrival.block.size <= arena_bytes);
    REQUIRE(content(ends.receiver, arrival) == message);
    ends.receiver.release(arrival);
  }
}

TEST_CASE("random traffic is what a queue would carry", "[sender]") {
  const auto seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  Ends ends;
  compare_with_queue(ends, seed, 60'000);
  CHECK(ends.receiver.position() > 8 * lane_units);
}

TEST_CASE("random traffic where positions wrap around 2^32", "[sender]") {
  const auto before = GENERATE(2 * lane_units, 2 * lane_units + 1, 5 * lane_units - 3);
  CAPTURE(before);
  Ends ends;
  start_at(ends, 0U - before, 0U - 8 * arena_bytes);
  compare_with_queue(ends, before, 60'000);
  CHECK(ends.receiver.position() < 0x80000000U);  // it did wrap
}

TEST_CASE("pairs alone where positions wrap around 2^32", "[sender]") {
  Ends ends;
  start_at(ends, 0U - 2 * lane_units, 0);
  for (std::uint64_t i = 0; i < std::uint64_t{3} * lane_units; ++i) {
    REQUIRE(send(ends.sender, message_of(52, i)));
    REQUIRE(take(ends.receiver) == message_of(52, i));
  }
}

// --- Pieces --------------------------------------------------------------------------------------

TEST_CASE("pieces say what they are part of", "[sender]") {
  Ends ends;
  const auto whole = message_of(1'000'000, 5);
  std::vector<std::byte> arrived;
  Arrival arrival;
  for (std::size_t at = 0; at < whole.bytes.size();) {
    const auto part = std::min<std::size_t>(whole.bytes.size() - at, block_limit);
    while (
        !ends.sender.try_send_piece(whole.tag, whole.bytes.data() + at, part, whole.bytes.size())) {
      REQUIRE(ends.receiver.try_take(arrival));
      CHECK(arrival.head.kind() == Kind::piece);
      CHECK(arrival.head.tag() == whole.tag);
      CHECK(arrival.block.total == whole.bytes.size());
      const auto piece = content(ends.receiver, arrival).bytes;
      arrived.insert(arrived.end(), piece.begin(), piece.end());
      ends.receiver.release(arrival);
    }
    at += part;
  }
  while (const auto piece = take(ends.receiver))
    arrived.insert(arrived.end(), piece->bytes.begin(), piece->bytes.end());
  CHECK(arrived == whole.bytes);
}

TEST_CASE("a piece may be as small as a byte", "[sender]") {
  Ends ends;
  const auto byte = std::byte{'x'};
  REQUIRE(ends.sender.try_send_piece(3, &byte, 1, std::uint64_t{1} << 40));
  Arrival arrival;
  REQUIRE(ends.receiver.try_take(arrival));
  CHECK(arrival.block.size == 1);
  CHECK(arrival.block.total == std::uint64_t{1} << 40);
  CHECK(*ends.receiver.block_bytes(arrival) == byte);
}

// --- Marks ---------------------------------------------------------------------------------------

TEST_CASE("a mark reaches its message and no other", "[sender]") {
  Ends ends;
  const std::vector<std::size_t> sizes{5, 40, 5, 40, 500, 5, 500};
  std::vector<std::uint32_t> positions;
  for (const auto size : sizes) {
    REQUIRE(send(ends.sender, message_of(size, size)));
    positions.push_back(ends.sender.last_position());
  }
  for (const std::size_t i : {1U, 2U, 4U}) CHECK(ends.sender.mark(positions[i]));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Arrival arrival;
    REQUIRE(ends.receiver.try_take(arrival));
    CHECK(arrival.position == positions[i]);
    CHECK(ends.receiver.marked(arrival) == (i == 1 || i == 2 || i == 4));
    CHECK(content(ends.receiver, arrival) == message_of(sizes[i], sizes[i]));
    ends.receiver.release(arrival);
  }
}

TEST_CASE("a mark is seen after the message was taken too", "[sender]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(5, 5)));
  Arrival arrival;
  REQUIRE(ends.receiver.try_take(arrival));
  CHECK_FALSE(ends.receiver.marked(arrival));
  CHECK(ends.sender.mark(ends.sender.last_position()));
  CHECK(ends.receiver.marked(arrival));
}

TEST_CASE("a mark never reaches a later message in the same unit", "[sender]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(5, 0)));
  const auto first = ends.sender.last_position();
  REQUIRE(take(ends.receiver) == message_of(5, 0));
  for (std::uint64_t i = 1; i < lane_units; ++i) {
    REQUIRE(send(ends.sender, message_of(5, i)));
    REQUIRE(take(ends.receiver));
  }
  CHECK(ends.sender.mark(first));  // the unit is still the old one, so this harms nobody
  REQUIRE(send(ends.sender, message_of(5, 7)));
  Arrival arrival;
  REQUIRE(ends.receiver.try_take(arrival));
  CHECK(arrival.position - first == lane_units);
  CHECK_FALSE(ends.receiver.marked(arrival));
  CHECK_FALSE(ends.sender.mark(first));
  CHECK_FALSE(ends.receiver.marked(arrival));
}

TEST_CASE("an arrival whose unit was reused counts as unmarked", "[sender]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(5, 0)));
  CHECK(ends.sender.mark(ends.sender.last_position()));
  Arrival first;
  REQUIRE(ends.receiver.try_take(first));
  CHECK(ends.receiver.marked(first));
  ends.receiver.report();
  for (std::uint64_t i = 0; i < lane_units; ++i) REQUIRE(send(ends.sender, message_of(5, i)));
  CHECK_FALSE(ends.receiver.marked(first));
}
