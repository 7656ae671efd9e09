// SPDX-License-Identifier: BSL-1.0
//
// The receiving end against senders that keep to the rules, and against those that do not.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "lane_memory.hpp"
#include "support/catch.hpp"

using namespace apalis::detail::channel;
using apalis::test::content;
using apalis::test::LaneMemory;
using apalis::test::message_of;
using apalis::test::send;
using apalis::test::take;

namespace {

struct Ends {
  LaneMemory memory;
  Sender sender{memory.lane(), true};
  Receiver receiver{memory.lane()};
};

/// Writes a unit as only a broken or hostile sender would.
void forge(const Lane& lane, std::uint32_t position, Kind kind, std::size_t size,
           const BlockRef& block = {}) {
  Unit& unit = lane.unit(position);
  std::memcpy(unit.data, &block, sizeof block);
  unit.head = Head::make(position, kind, 1, size).word;
}

std::byte sink[block_limit];

/// Whether the contract holds for what was taken; reads all of it.
bool is_sound(const Receiver& receiver, const Lane& lane, const Arrival& arrival) {
  if (!arrival.in_arena()) {
    const auto limit = arrival.head.kind() == Kind::single ? single_bytes : pair_bytes;
    if (arrival.head.size() > limit) return false;
    std::memcpy(sink, arrival.inline_bytes, arrival.head.size());
  } else {
    const std::byte* const bytes = receiver.block_bytes(arrival);
    const auto& block = arrival.block;
    if (bytes < lane.arena || bytes + block.size > lane.arena + arena_bytes) return false;
    if (block.size == 0 || block.size > block_limit || block.total < block.size) return false;
    std::memcpy(sink, bytes, block.size);
  }
  return true;
}

}  // namespace

TEST_CASE("an empty lane has no message", "[receiver]") {
  Ends ends;
  Arrival arrival;
  CHECK_FALSE(ends.receiver.has_message());
  CHECK_FALSE(ends.receiver.try_take(arrival));
  CHECK(ends.receiver.position() == 0);
}

TEST_CASE("has_message takes nothing", "[receiver]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(5, 1)));
  for (int i = 0; i < 3; ++i) CHECK(ends.receiver.has_message());
  CHECK(ends.receiver.position() == 0);
  CHECK(take(ends.receiver) == message_of(5, 1));
  CHECK_FALSE(ends.receiver.has_message());
}

TEST_CASE("inline bytes are the receiver's own once taken", "[receiver]") {
  Ends ends;
  for (const std::size_t size : {std::size_t{24}, std::size_t{52}}) {
    REQUIRE(send(ends.sender, message_of(size, 1)));
    Arrival arrival;
    REQUIRE(ends.receiver.try_take(arrival));
    const auto lane = ends.memory.lane();
    for (std::uint32_t i = 0; i < 2; ++i)
      std::memset(lane.unit(arrival.position + i).data, 0xff, single_bytes);
    CHECK(content(ends.receiver, arrival) == message_of(size, 1));
  }
}

TEST_CASE("a block stays where it is until it is released", "[receiver]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(1000, 1)));
  Arrival first;
  REQUIRE(ends.receiver.try_take(first));
  // As much as there is room for: none of it may touch the block that is being read.
  std::uint64_t sent = 0;
  while (send(ends.sender, message_of(2000, sent))) ++sent;
  CHECK(sent > 100);
  CHECK(content(ends.receiver, first) == message_of(1000, 1));
  ends.receiver.release(first);
}

TEST_CASE("release reports every eighth of the ring", "[receiver]") {
  Ends ends;
  std::uint32_t reports = 0;
  for (std::uint32_t i = 1; i <= 4 * lane_units; ++i) {
    REQUIRE(send(ends.sender, message_of(8, i)));
    Arrival arrival;
    REQUIRE(ends.receiver.try_take(arrival));
    const bool reported = ends.receiver.release(arrival);
    REQUIRE(reported == (i % (lane_units / 8) == 0));
    if (!reported) continue;
    ++reports;
    CHECK(ends.memory.progress().word == i);
  }
  CHECK(reports == 32);
}

TEST_CASE("release reports every eighth of the arena", "[receiver]") {
  Ends ends;
  constexpr std::uint32_t size = arena_bytes / 32;
  for (std::uint32_t i = 1; i <= 200; ++i) {
    REQUIRE(send(ends.sender, message_of(size, i)));
    Arrival arrival;
    REQUIRE(ends.receiver.try_take(arrival));
    const bool reported = ends.receiver.release(arrival);
    REQUIRE(reported == (i % 4 == 0));
    if (reported) CHECK(ends.memory.progress().word >> 32 == std::uint64_t{size} * i);
  }
}

TEST_CASE("report reports at once", "[receiver]") {
  Ends ends;
  REQUIRE(send(ends.sender, message_of(8, 1)));
  REQUIRE(send(ends.sender, message_of(100, 1)));
  REQUIRE(take(ends.receiver));
  REQUIRE(take(ends.receiver));
  CHECK_FALSE(ends.sender.has_progress());
  ends.receiver.report();
  CHECK(ends.sender.has_progress());
  CHECK(ends.memory.progress().word == (std::uint64_t{128} << 32 | 2));
}

TEST_CASE("blocks take whole cache lines", "[receiver]") {
  CHECK(Receiver::padded(1) == 64);
  CHECK(Receiver::padded(64) == 64);
  CHECK(Receiver::padded(65) == 128);
  CHECK(Receiver::padded(block_limit) == block_limit);
}

// --- A hostile sender ----------------------------------------------------------------------------

TEST_CASE("units of no known form are violations", "[receiver]") {
  LaneMemory memory;
  const auto lane = memory.lane();
  const auto refuses = [&](std::uint32_t position, Kind kind, std::size_t size, BlockRef block) {
    Receiver receiver{lane};
    Arrival arrival;
    for (std::uint32_t i = 0; i < position; ++i) {
      forge(lane, i, Kind::single, 0);
      REQUIRE(receiver.try_take(arrival));
    }
    forge(lane, position, kind, size, block);
    try {
      const bool taken = receiver.try_take(arrival);
      CHECK(taken);
      CHECK(is_sound(receiver, lane, arrival));
      return false;
    } catch (const ProtocolViolation&) {
      CHECK(receiver.position() == position);
      return true;
    }
  };
  const BlockRef good{128, 100, 100};

  SECTION("kinds") {
    for (unsigned kind = 0; kind < 16; ++kind) {
      CAPTURE(kind);
      const bool skip = kind == static_cast<unsigned>(Kind::skip);  // only at odd positions
      CHECK(refuses(0, static_cast<Kind>(kind), 1, good) == (kind == 0 || kind > 5 || skip));
    }
  }
  SECTION("sizes of inline messages") {
    CHECK_FALSE(refuses(0, Kind::single, single_bytes, {}));
    CHECK(refuses(0, Kind::single, single_bytes + 1, {}));
    CHECK(refuses(0, Kind::single, 0xffff, {}));
    CHECK_FALSE(refuses(0, Kind::pair, pair_bytes, {}));
    CHECK(refuses(0, Kind::pair, pair_bytes + 1, {}));
    CHECK(refuses(0, Kind::pair, 0xffff, {}));
  }
  SECTION("pairs at odd positions") {
    CHECK(refuses(1, Kind::pair, 30, {}));
    CHECK_FALSE(refuses(2, Kind::pair, 30, {}));
    CHECK(refuses(lane_units - 1, Kind::pair, 30, {}));
  }
  SECTION("skips at even positions") {
    CHECK(refuses(2, Kind::skip, 0, {}));
    CHECK(refuses(lane_units, Kind::skip, 0, {}));
  }
  SECTION("blocks") {
    CHECK_FALSE(refuses(0, Kind::block, 0, good));
    CHECK(refuses(0, Kind::block, 0, {128, 0, 0}));
    CHECK(refuses(0, Kind::block, 0, {129, 100, 100}));
    CHECK(refuses(0, Kind::block, 0, {128, block_limit + 1, block_limit + 1}));
    CHECK(refuses(0, Kind::block, 0, {128, 0xffffffff, 0xffffffff}));
    CHECK(refuses(0, Kind::block, 0, {128, 100, 99}));
    CHECK(refuses(0, Kind::block, 0, {128, 100, 101}));
    CHECK_FALSE(refuses(0, Kind::block, 0, {arena_bytes - 64, 64, 64}));
    CHECK(refuses(0, Kind::block, 0, {arena_bytes - 64, 65, 65}));
    CHECK_FALSE(refuses(0, Kind::block, 0, {0xffffffc0, 64, 64}));
    CHECK(refuses(0, Kind::block, 0, {0xffffffc0, 65, 65}));
    CHECK_FALSE(refuses(0, Kind::block, 0, {arena_bytes, block_limit, block_limit}));
  }
  SECTION("pieces") {
    CHECK_FALSE(refuses(0, Kind::piece, 0, good));
    CHECK_FALSE(refuses(0, Kind::piece, 0, {128, 100, ~std::uint64_t{0}}));
    CHECK(refuses(0, Kind::piece, 0, {128, 100, 99}));
    CHECK(refuses(0, Kind::piece, 0, {128, 0, 5}));
    CHECK(refuses(0, Kind::piece, 0, {arena_bytes - 64, 65, 500}));
  }
}

TEST_CASE("a violation stays one however often it is looked at", "[receiver]") {
  LaneMemory memory;
  Receiver receiver{memory.lane()};
  forge(memory.lane(), 0, static_cast<Kind>(9), 0);
  Arrival arrival;
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(receiver.try_take(arrival), ProtocolViolation);
}

TEST_CASE("a skip at an odd position is passed over, a second one refused", "[receiver]") {
  LaneMemory memory;
  const auto lane = memory.lane();
  Receiver receiver{lane};
  Arrival arrival;
  forge(lane, 0, Kind::single, 0);
  REQUIRE(receiver.try_take(arrival));
  forge(lane, 1, Kind::skip, 0);
  CHECK_FALSE(receiver.try_take(arrival));  // what comes behind it is not there yet
  CHECK(receiver.position() == 2);
  forge(lane, 2, Kind::skip, 0);
  CHECK_THROWS_AS(receiver.try_take(arrival), ProtocolViolation);
  CHECK(receiver.position() == 2);
}

TEST_CASE("messages from other laps are none", "[receiver]") {
  LaneMemory memory;
  const auto lane = memory.lane();
  Receiver receiver{lane};
  Arrival arrival;
  for (const std::uint32_t stamp : {0U, 2U, lane_units + 1, 2 * lane_units + 1, 0xffffffffU}) {
    lane.unit(0).head = Head::make(stamp - 1, Kind::single, 1, 8).word;
    CHECK_FALSE(receiver.has_message());
    CHECK_FALSE(receiver.try_take(arrival));
  }
}

// A structured fuzz: right often enough to get past each check, and wrong in every way.
TEST_CASE("random units give a message, none, or a violation", "[receiver]") {
  LaneMemory memory;
  const auto lane = memory.lane();
  auto receiver = std::make_unique<Receiver>(lane);
  std::mt19937_64 random{11};
  int messages = 0;
  int none = 0;
  int violations = 0;
  const auto number_near = [&](std::uint64_t value) {
    return random() % 4 == 0 ? random() : value + random() % 5 - 2;
  };
  for (int i = 0; i < 200'000; ++i) {
    const auto position = receiver->position();
    Unit& unit = lane.unit(position);
    if (random() % 8 == 0) {
      for (std::byte& b : unit.data) b = static_cast<std::byte>(random());
    } else {
      BlockRef block;
      const std::uint32_t places[] = {0, arena_bytes / 2, arena_bytes - block_limit,
                                      arena_bytes - 64};
      const auto place = places[random() % 4] + arena_bytes * (random() % 3);
      block.position = static_cast<std::uint32_t>(random() % 8 == 0 ? number_near(place) : place);
      const std::uint32_t sizes[] = {1, 64, 1000, block_limit};
      block.size = static_cast<std::uint32_t>(random() % 3 == 0 ? number_near(sizes[random() % 4])
                                                                : sizes[random() % 4]);
      block.total = random() % 3 == 0 ? number_near(block.size) : block.size;
      std::memcpy(unit.data, &block, sizeof block);
    }
    std::uint64_t head = random();
    if (random() % 16 != 0) {
      const auto kind = static_cast<Kind>(random() % 8 == 0 ? random() % 16 : 1 + random() % 5);
      head = Head::make(position, kind, static_cast<std::uint8_t>(random()),
                        random() % 4 == 0 ? random() % 0xffff : random() % 60)
                 .word;
      if (random() % 4 == 0) head |= Head::mark_bit;
    }
    unit.head = head;
    if (random() % 2 == 0) lane.unit(position + 1).head = random();

    Arrival arrival;
    try {
      if (receiver->try_take(arrival)) {
        ++messages;
        if (!is_sound(*receiver, lane, arrival)) FAIL("an unsound message at step " << i);
        (void)receiver->marked(arrival);
        (void)receiver->release(arrival);
      } else {
        ++none;
      }
    } catch (const ProtocolViolation&) {
      ++violations;
      if (random() % 64 == 0) receiver = std::make_unique<Receiver>(lane);
    }
    (void)receiver->has_message();
  }
  CHECK(messages > 10'000);
  CHECK(none > 1'000);
  CHECK(violations > 10'000);
}

// The peer changes words between our looks: each is read once. The scribbler has a mapping of its
// own, as another process would.
TEST_CASE("units that change while they are read", "[receiver]") {
  constexpr std::size_t size = ring_bytes + arena_bytes + sizeof(Progress);
  const int fd = ::memfd_create("apalis-scribble", MFD_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(::ftruncate(fd, size) == 0);
  const auto map = [&] {
    void* const start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(start != MAP_FAILED);
    return static_cast<std::byte*>(start);
  };
  std::byte* const ours = map();
  std::byte* const theirs = map();
  ::close(fd);
  const auto lane_at = [](std::byte* base) {
    return Lane{reinterpret_cast<Unit*>(base), base + ring_bytes,
                reinterpret_cast<Progress*>(base + ring_bytes + arena_bytes)};
  };

  std::atomic<bool> started{false};
  std::atomic<bool> done{false};
  std::thread scribbler([&] {
    const auto lane = lane_at(theirs);
    std::mt19937_64 random{5};
    for (; !done.load(std::memory_order_relaxed); started = true) {
      // Two units, over and over: one message and one other form of it.
      for (std::uint32_t position = 0; position < 2; ++position) {
        const BlockRef block{static_cast<std::uint32_t>(random()) % (2 * arena_bytes),
                             static_cast<std::uint32_t>(random()) % (2 * block_limit), random()};
        std::memcpy(lane.unit(position).data, &block, sizeof block);
        lane.unit(position).head.store(
            Head::make(position, static_cast<Kind>(1 + random() % 5), 1, random() % 60).word,
            std::memory_order_release);
      }
    }
  });

  const auto lane = lane_at(ours);
  int unsound = 0;
  int messages = 0;
  int violations = 0;
  while (!started) std::this_thread::yield();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  for (int i = 0; i < 200'000 || messages < 10'000 || violations < 10'000; ++i) {
    // On one core, it is the scribbler's turn; and a machine too busy for all this fails below.
    if (i % 1024 == 0) std::this_thread::yield();
    if (std::chrono::steady_clock::now() > end) break;
    Receiver receiver{lane};
    Arrival arrival;
    try {
      for (int k = 0; k < 2 && receiver.try_take(arrival); ++k) {
        ++messages;
        if (!is_sound(receiver, lane, arrival)) ++unsound;
      }
    } catch (const ProtocolViolation&) {
      ++violations;
    }
  }
  done = true;
  scribbler.join();
  CHECK(unsound == 0);
  CHECK(messages > 0);
  CHECK(violations > 0);
  ::munmap(ours, size);
  ::munmap(theirs, size);
}
