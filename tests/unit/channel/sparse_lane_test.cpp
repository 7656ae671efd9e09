// SPDX-License-Identifier: BSL-1.0
//
// A lane whose memory comes as it is needed: only the sender touches a page first, and only after
// it was backed.
#include <sys/mman.h>

#include <algorithm>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "lane_memory.hpp"
#include "support/catch.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using namespace apalis::detail::channel;
using apalis::test::Message;
using apalis::test::message_of;
using apalis::test::Refusing;
using apalis::test::send;
using apalis::test::some_size;
using apalis::test::take;

namespace {

/// A lane in shared memory of which, as in a fresh slice, the ring's first page is backed.
class SparseLane {
 public:
  SparseLane() : memory_("apalis-sparse-lane", ring_bytes + arena_bytes) {
    memory_.back(0, sys::page_size);
  }
  [[nodiscard]] Lane lane() noexcept {
    return {reinterpret_cast<Unit*>(memory_.data()), memory_.data() + ring_bytes, &progress_};
  }
  /// Which pages have memory.
  [[nodiscard]] std::vector<unsigned char> pages() const {
    std::vector<unsigned char> resident(memory_.size() / sys::page_size);
    REQUIRE(::mincore(memory_.data(), memory_.size(), resident.data()) == 0);
    return resident;
  }
  [[nodiscard]] std::size_t page_count() const {
    const auto all = pages();
    return static_cast<std::size_t>(std::ranges::count(all, 1));
  }
  [[nodiscard]] bool backs_on_demand() const { return memory_.backs_on_demand(); }

 private:
  sys::SharedMemory memory_;
  Progress progress_{};
};

}  // namespace

TEST_CASE("memory comes as it is needed", "[sparse_lane]") {
  SparseLane memory;
  if (!memory.backs_on_demand()) return;
  Sender sender{memory.lane(), false};
  Receiver receiver{memory.lane()};
  CHECK(memory.page_count() == 1);
  for (std::uint64_t i = 0; i < 100; ++i) REQUIRE(send(sender, message_of(8, i)));
  CHECK(memory.page_count() == 1);
  REQUIRE(send(sender, message_of(100, 1)));
  CHECK(memory.page_count() == 2);
  for (std::uint64_t i = 0; i < 100; ++i) REQUIRE(take(receiver) == message_of(8, i));
  REQUIRE(take(receiver) == message_of(100, 1));
  sender.back_all();
  CHECK(memory.page_count() == (ring_bytes + arena_bytes) / sys::page_size);
}

TEST_CASE("random traffic through memory that comes as it is needed", "[sparse_lane]") {
  const auto seed = GENERATE(1U, 2U, 3U, 4U);
  CAPTURE(seed);
  SparseLane memory;
  if (!memory.backs_on_demand()) return;
  Sender sender{memory.lane(), false};
  Receiver receiver{memory.lane()};
  std::mt19937_64 random{seed};
  std::deque<Message> queue;
  for (std::uint64_t i = 0; i < 8000; ++i) {
    auto message = message_of(some_size(random) >> random() % 4 * 4, i);
    if (send(sender, message)) queue.push_back(std::move(message));
    if (i % 1000 < 700) {
      // The receiver must not be the one that first touches a page.
      const auto before = memory.page_count();
      if (const auto arrived = take(receiver)) {
        REQUIRE(*arrived == queue.front());
        queue.pop_front();
      }
      (void)receiver.has_message();
      REQUIRE(memory.page_count() == before);
    }
  }
}

TEST_CASE("the sender writes to no page that was not backed", "[sparse_lane]") {
  SparseLane memory;
  if (!memory.backs_on_demand()) return;
  Sender sender{memory.lane(), false};
  Receiver receiver{memory.lane()};
  const auto size = GENERATE(std::size_t{8}, std::size_t{40}, std::size_t{300});
  CAPTURE(size);
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  std::size_t refusals = 0;
  for (std::size_t growths = 0; growths < 20 && sent < lane_units; ++growths) {
    const auto before = memory.pages();
    try {
      const Refusing full(sys::Call::back, ENOMEM);
      while (send(sender, message_of(size, sent))) ++sent;
    } catch (const apalis::SystemError& error) {
      ++refusals;
      CHECK(error.code() == ENOMEM);
    }
    CHECK(memory.pages() == before);
    // Nothing of the refused message is left, and it can be sent once there is memory again.
    if (send(sender, message_of(size, sent))) ++sent;
    while (const auto message = take(receiver)) REQUIRE(*message == message_of(size, taken++));
    REQUIRE(taken == sent);
  }
  CHECK(refusals > 1);
}

TEST_CASE("a message refused for want of memory leaves the others alone", "[sparse_lane]") {
  SparseLane memory;
  if (!memory.backs_on_demand()) return;
  Sender sender{memory.lane(), false};
  Receiver receiver{memory.lane()};
  {
    const Refusing full(sys::Call::back, ENOSPC);
    CHECK_THROWS_AS(send(sender, message_of(10'000, 1)), apalis::SystemError);
    CHECK(send(sender, message_of(20, 2)));
    CHECK_THROWS_AS(sender.back_all(), apalis::SystemError);
  }
  CHECK(send(sender, message_of(10'000, 3)));
  CHECK(take(receiver) == message_of(20, 2));
  CHECK(take(receiver) == message_of(10'000, 3));
  CHECK_FALSE(take(receiver));
}

TEST_CASE("after back_all no send asks for memory", "[sparse_lane]") {
  SparseLane memory;
  if (!memory.backs_on_demand()) return;
  Sender sender{memory.lane(), false};
  Receiver receiver{memory.lane()};
  REQUIRE(send(sender, message_of(20, 0)));
  sender.back_all();
  const Refusing full(sys::Call::back, ENOMEM);
  for (std::uint64_t i = 0; i < std::uint64_t{3} * lane_units; ++i) {
    REQUIRE(send(sender, message_of(i % 3 == 0 ? 5000 : 20, i)));
    if (i > 0) {
      REQUIRE(take(receiver));
    }
  }
  sender.back_all();
  CHECK(Refusing::asked() == 0);
}
