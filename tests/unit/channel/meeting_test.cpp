// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/channel/meeting.hpp>
#include <apalis/detail/channel/meeting_page.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>

#include "support/catch.hpp"

using namespace apalis::detail::channel;
namespace sys = apalis::detail::sys;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Result = Meeting::Result;

namespace {

/// A block of memory for a meeting of `n`.
struct Memory {
  explicit Memory(std::size_t n) : meeting(bytes) { meeting.begin(n, 2); }
  alignas(line_pair) std::array<std::byte, 4096> bytes{};
  Meeting meeting;
};

/// The incarnation of a process that there was: its pid, and a start that no process has.
constexpr sys::Incarnation past(std::uint32_t pid) {
  return std::uint64_t{0xfffffffe} << 32 | pid;
}

}  // namespace

TEST_CASE("a meeting fits its bytes", "[meeting]") {
  CHECK(Meeting::bytes_for(1) == 4096);
  CHECK(Meeting::bytes_for(2) == 4096);
  CHECK(Meeting::bytes_for(1000) >= 2001 * sizeof(MeetingPlace));
}

TEST_CASE("a phase ends with its last arrival", "[meeting]") {
  Memory memory(2);
  const Meeting& meeting = memory.meeting;
  CHECK(meeting.arrive({.limit = 0ns}) == Result::late);
  CHECK(meeting.arrive({.may_wait = false}) == Result::refused);
  for (int i = 0; i < 100; ++i) {
    Result others = Result::late;
    std::thread other([&] { others = meeting.arrive({}); });
    CHECK(meeting.arrive({}) == Result::complete);
    other.join();
    CHECK(others == Result::complete);
  }
  CHECK(meeting.arrive({.for_good = true}) == Result::complete);
  CHECK(meeting.expected() == 1);
  CHECK(meeting.arrive({.may_wait = false}) == Result::complete);
  CHECK(meeting.arrive({.for_good = true}) == Result::complete);
  CHECK(meeting.arrive({}) == Result::deserted);
}

TEST_CASE("whoever waits finds who has ended", "[meeting]") {
  Memory memory(2);
  memory.meeting.invite(past(1));  // as pid 1 is another process, that one is gone
  CHECK(!memory.meeting.is_broken());
  CHECK(memory.meeting.arrive({.limit = 1min}) == Result::broken);
  CHECK(memory.meeting.is_broken());
  CHECK(memory.meeting.lost() == 1);
  CHECK(memory.meeting.arrive({}) == Result::broken);
  CHECK(memory.meeting.arrive({.for_good = true}) == Result::broken);
}

TEST_CASE("who is excused or parts may end", "[meeting]") {
  Memory memory(2);
  memory.meeting.invite(past(1));
  memory.meeting.invite(past(1));
  memory.meeting.excuse(past(1));
  memory.meeting.invite(past(2));
  memory.meeting.part(2);
  memory.meeting.lose(1);
  CHECK(memory.meeting.arrive({.limit = 20ms}) == Result::late);
  memory.meeting.invite(past(3));
  memory.meeting.lose(3);
  CHECK(memory.meeting.lost() == 3);
  memory.meeting.part(3);  // its pid is still to be told
  CHECK(memory.meeting.lost() == 3);
}

TEST_CASE("there are places for far more than there should be", "[meeting]") {
  Memory memory(2);
  for (std::uint32_t pid = 1; pid < 1000; ++pid) memory.meeting.invite(past(pid));
  CHECK(memory.meeting.arrive({}) == Result::no_places);
  memory.meeting.part(7);
  CHECK(memory.meeting.arrive({.may_wait = false}) == Result::refused);
}

TEST_CASE("a meeting's bytes can be anything", "[meeting]") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 400; ++round) {
    Memory memory(2);
    const std::size_t within = round % 2 == 0 ? 40 : sizeof memory.bytes / sizeof(std::uint64_t);
    auto* const words = reinterpret_cast<std::uint64_t*>(memory.bytes.data());
    for (int i = 0; i < 20; ++i)
      std::atomic_ref(words[random() % within]).store(round % 4 < 2 ? random() : ~std::uint64_t{0});
    const auto start = Clock::now();
    (void)memory.meeting.arrive({.limit = 1ms});
    (void)memory.meeting.arrive({.for_good = true});
    (void)memory.meeting.lost();
    memory.meeting.invite(random());
    memory.meeting.excuse(random());
    memory.meeting.part(static_cast<pid_t>(random()));
    memory.meeting.lose(static_cast<pid_t>(random()));
    CHECK(Clock::now() - start < 5s);
  }
}

TEST_CASE("a meeting's bytes can change at any moment", "[meeting]") {
  Memory memory(3);
  std::atomic<bool> stop{false};
  std::thread vandal([&] {
    std::mt19937_64 random(6);
    auto* const words = reinterpret_cast<std::uint64_t*>(memory.bytes.data());
    while (!stop.load()) std::atomic_ref(words[random() % 64]).store(random());
  });
  const auto start = Clock::now();
  for (int i = 0; i < 300; ++i) (void)memory.meeting.arrive({.limit = 1ms});
  CHECK(Clock::now() - start < 30s);
  stop = true;
  vandal.join();
}
