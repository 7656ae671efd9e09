// SPDX-License-Identifier: BSL-1.0
//
// A sender whose receiver reports whatever it likes.
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <cstddef>
#include <cstdint>
#include <random>

#include "lane_memory.hpp"
#include "support/catch.hpp"

using namespace apalis::detail::channel;
using apalis::test::LaneMemory;
using apalis::test::message_of;
using apalis::test::send;
using apalis::test::some_size;

namespace {

struct Ends {
  LaneMemory memory;
  Sender sender{memory.lane(), true};
};

}  // namespace

TEST_CASE("progress that can't have been made is a violation", "[hostile_receiver]") {
  const auto report = [](std::uint32_t units, std::uint32_t bytes, std::size_t size, int messages) {
    Ends ends;
    for (int i = 0; i < messages; ++i)
      if (!send(ends.sender, message_of(size, 1))) break;
    ends.memory.progress().word = static_cast<std::uint64_t>(bytes) << 32 | units;
    // Until it looks, it can't know.
    for (std::uint32_t i = 0; i <= lane_units; ++i)
      if (!send(ends.sender, message_of(size, 2))) break;
  };
  CHECK_NOTHROW(report(0, 0, 8, lane_units));
  CHECK_NOTHROW(report(100, 0, 8, lane_units));
  CHECK_NOTHROW(report(lane_units, 0, 8, lane_units));
  CHECK_THROWS_AS(report(lane_units + 1, 0, 8, lane_units), ProtocolViolation);
  CHECK_THROWS_AS(report(0U - 1, 0, 8, lane_units), ProtocolViolation);
  CHECK_THROWS_AS(report(100, 1, 8, lane_units), ProtocolViolation);
  CHECK_NOTHROW(report(4, 4 * block_limit, block_limit, 4));
  CHECK_THROWS_AS(report(4, 4 * block_limit + 1, block_limit, 4), ProtocolViolation);
  CHECK_THROWS_AS(report(5, 4 * block_limit, block_limit, 4), ProtocolViolation);
  CHECK_THROWS_AS(report(4, 0U - 64, block_limit, 4), ProtocolViolation);
}

TEST_CASE("progress that goes back is a violation", "[hostile_receiver]") {
  Ends ends;
  for (std::uint64_t i = 0; i < lane_units; ++i) REQUIRE(send(ends.sender, message_of(8, i)));
  ends.memory.progress().word = 10;
  REQUIRE(send(ends.sender, message_of(8, 1)));
  ends.memory.progress().word = 9;
  const auto fill = [&] {
    while (send(ends.sender, message_of(8, 1))) {
    }
  };
  CHECK_THROWS_AS(fill(), ProtocolViolation);
}

TEST_CASE("random progress never makes the sender write out of bounds", "[hostile_receiver]") {
  std::mt19937_64 random{7};
  int violations = 0;
  int refusals = 0;
  for (int round = 0; round < 300; ++round) {
    Ends ends;
    std::uint64_t number = 0;
    for (int i = 0; i < 300; ++i) {
      try {
        for (auto burst = random() % 200; burst > 0; --burst)
          if (!send(ends.sender, message_of(some_size(random) / 4, ++number))) {
            ++refusals;
            break;
          }
        // Small steps and wild ones.
        auto& word = ends.memory.progress().word;
        const auto old = word.load();
        switch (random() % 4) {
          case 0:
            word = random();
            break;
          case 1:
            word = old + random() % 64;
            break;
          case 2:
            word = old + (random() % 4096 << 32);
            break;
          default:
            break;
        }
      } catch (const ProtocolViolation&) {
        ++violations;
        break;
      }
    }
  }
  CHECK(violations > 0);
  CHECK(refusals > 0);
}
