// SPDX-License-Identifier: BSL-1.0
// A lane whose one end has died is used again from its beginning, while other threads look at it.
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lane_memory.hpp"
#include "side_by_side.hpp"
#include "support/catch.hpp"

using namespace apalis::test;
using channel::Receiver;
using channel::Sender;

namespace {

/// Sizes of every kind: single, pair, block.
Message nth_message(std::size_t i) {
  constexpr std::size_t sizes[] = {8, 40, 3000, 1, 52, 60'000};
  return message_of(sizes[i % 6], static_cast<std::uint8_t>(1 + i % 7));
}

}  // namespace

TEST_CASE("a receiver that starts anew finds nothing of the last sender", "[lane_restart]") {
  LaneMemory memory;
  Receiver receiver{memory.lane()};
  for (const std::size_t sent : {0U, 1U, 5U, 300U, 2500U}) {
    Sender sender{memory.lane(), true};
    for (std::size_t i = 0; i < sent; ++i) {
      REQUIRE(send(sender, nth_message(i % 2)));
      if (i % 3 != 0 || i > 200) (void)take(receiver);
    }
    receiver.restart();
    CHECK(!receiver.has_message());
    CHECK(!take(receiver).has_value());
    Sender next{memory.lane(), true};
    for (std::size_t i = 0; i < 50; ++i) {
      REQUIRE(send(next, nth_message(i)));
      CHECK(take(receiver) == nth_message(i));
    }
    receiver.restart();
  }
}

TEST_CASE("a sender that starts anew leaves nothing of what it sent, nor a mark",
          "[lane_restart]") {
  const bool backed = GENERATE(true, false);
  LaneMemory memory;
  Sender sender{memory.lane(), backed};
  for (int round = 0; round < 20; ++round) {
    Receiver receiver{memory.lane()};
    for (std::size_t i = 0; i < 60; ++i) {
      REQUIRE(send(sender, nth_message(i)));
      if (i % 4 == 0) CHECK(sender.mark(sender.last_position()));
      if (i < 40) CHECK(take(receiver) == nth_message(i));
    }
    sender.restart();
    Receiver next{memory.lane()};
    CHECK(!next.has_message());
    REQUIRE(send(sender, nth_message(0)));
    channel::Arrival arrival;
    REQUIRE(next.try_take(arrival));
    CHECK(!next.marked(arrival));
    sender.restart();
  }
}

TEST_CASE("a piece is marked as it is sent", "[lane_restart]") {
  LaneMemory memory;
  Sender sender{memory.lane(), true};
  Receiver receiver{memory.lane()};
  const std::vector<std::byte> bytes(1000);
  REQUIRE(sender.try_send_piece(3, bytes.data(), bytes.size(), 2000));
  REQUIRE(sender.try_send_piece(3, bytes.data(), bytes.size(), 2000, true));
  channel::Arrival arrival;
  REQUIRE(receiver.try_take(arrival));
  CHECK(!receiver.marked(arrival));
  REQUIRE(receiver.try_take(arrival));
  CHECK(receiver.marked(arrival));
  CHECK(arrival.head.kind() == channel::Kind::piece);
}

// ThreadSanitizer's cases: one thread has the lock of its link and restarts both ends, others look
// without it.
TEST_CASE("threads look for messages and for room while both ends start anew", "[lane_restart]") {
  LaneMemory requests;
  LaneMemory replies;
  Sender sender{requests.lane(), true};
  Receiver receiver{replies.lane()};
  std::atomic<bool> done{false};
  std::atomic<std::size_t> wrong{0};
  const auto look = [&] {
    while (!done) {
      (void)receiver.has_message();
      (void)sender.has_progress_since(0);
    }
  };
  const bool in_time =
      all_end({[&] {
                 for (int round = 0; round < rounds_of(2000); ++round) {
                   // What a worker does, which has died by the time of the restart.
                   Receiver workers_receiver{requests.lane()};
                   Sender workers_sender{replies.lane(), true};
                   for (std::size_t i = 0; i < 20; ++i) {
                     const auto message = nth_message(i % 5);
                     if (!send(sender, message) || take(workers_receiver) != message) ++wrong;
                     if (!send(workers_sender, message)) ++wrong;
                     if (i < 15 && take(receiver) != message) ++wrong;
                   }
                   workers_receiver.report();
                   receiver.restart();
                   sender.restart();
                   if (receiver.has_message() || sender.has_progress()) ++wrong;
                 }
                 done = true;
               },
               look, look},
              [&] { done = true; });
  CHECK(in_time);
  CHECK(wrong == 0);
}
