// SPDX-License-Identifier: BSL-1.0
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <apalis/detail/core/cpu_relax.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/process.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Refusing;
using apalis::test::start_child;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
using Word = std::atomic<std::uint32_t>;

/// Sleepers on the word whose bits meet these; they are woken.
long wake_and_count(const Word& word, std::uint32_t bits) {
  return ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, 1000, nullptr, nullptr, bits);
}

/// Moves one sleeper to another word of its own, and back: tells that there is one, and wakes none.
bool has_sleeper(const Word& word) {
  Word parking{0};
  const auto move = [](const Word& from, const Word& to) {
    return ::syscall(SYS_futex, &from, FUTEX_CMP_REQUEUE, 0, 1L, &to, from.load());
  };
  if (move(word, parking) == 0) return false;
  move(parking, word);
  return true;
}

/// Until a thread or process sleeps on the word. False if none does for very long.
bool wait_for_sleeper(const Word& word) {
  const auto end = Clock::now() + 20s;
  while (!has_sleeper(word)) {
    if (Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// One side of Dekker's handshake, padded apart.
struct alignas(128) Flag {
  std::atomic<int> value{0};
};

}  // namespace

TEST_CASE("futex_wait returns at once if the word differs", "[futex]") {
  const Word word{1};
  sys::futex_wait(word, 2);
  sys::futex_wait(word, 2, 1h);
  SUCCEED("it returned");
}

TEST_CASE("futex_wait ends at its limit and not before", "[futex]") {
  const Word word{1};
  const auto start = Clock::now();
  const auto until = start + 20ms;
  do {
    sys::futex_wait(word, 1, until - Clock::now());
  } while (Clock::now() < until);
  CHECK(Clock::now() - start < 60s);
}

TEST_CASE("futex_wait with no time left returns", "[futex]") {
  const Word word{1};
  sys::futex_wait(word, 1, 0ns);
  sys::futex_wait(word, 1, -1ns);
  sys::futex_wait(word, 1, -1h);
  SUCCEED("it returned");
}

TEST_CASE("the longest limit is a long one for a futex too", "[futex]") {
  Word word{0};
  std::atomic<int> returns{0};
  std::thread sleeper([&] {
    while (word.load() == 0) {
      sys::futex_wait(word, 0, std::chrono::nanoseconds::max());
      ++returns;
    }
  });
  CHECK(wait_for_sleeper(word));
  word = 1;
  sys::futex_wake_all(word);
  sleeper.join();
  CHECK(returns == 1);
}

TEST_CASE("futex_wake_all wakes every sleeper", "[futex]") {
  Word word{0};
  std::array<std::thread, 4> sleepers;
  std::atomic<int> awake{0};
  bool with_limit = false;
  for (auto& sleeper : sleepers) {
    with_limit = !with_limit;
    sleeper = std::thread([&, limited = with_limit] {
      while (word.load() == 0) {
        if (limited) {
          sys::futex_wait(word, 0, 1h);
        } else {
          sys::futex_wait(word, 0);
        }
      }
      ++awake;
    });
  }
  CHECK(wait_for_sleeper(word));
  word = 1;
  sys::futex_wake_all(word);
  for (auto& sleeper : sleepers) sleeper.join();
  CHECK(awake == 4);
}

TEST_CASE("a wake-up reaches the sleepers with a bit in common alone", "[futex]") {
  Word word{0};
  std::atomic<int> returns{0};
  std::thread sleeper([&] {
    while (word.load() == 0) {
      sys::futex_wait(word, 0, 0b0110);
      ++returns;
    }
  });
  CHECK(wait_for_sleeper(word));
  sys::futex_wake_all(word, 0b1001);
  CHECK(has_sleeper(word));
  CHECK(returns == 0);
  word = 1;
  sys::futex_wake_all(word, 0b1100);
  sleeper.join();
  CHECK(returns == 1);
}

TEST_CASE("a sleeper that names no bits is woken by any", "[futex]") {
  Word word{0};
  std::thread sleeper([&] {
    while (word.load() == 0) sys::futex_wait(word, 0);
  });
  CHECK(wait_for_sleeper(word));
  word = 1;
  CHECK(wake_and_count(word, std::uint32_t{1} << 31) == 1);
  sleeper.join();
}

TEST_CASE("a futex works between processes", "[futex]") {
  const sys::SharedMemory memory{"apalis-futex", sys::page_size};
  memory.back(0, sys::page_size);
  auto* const word = ::new (memory.data()) Word{0};
  const pid_t child = start_child([&] {
    while (word->load() == 0) sys::futex_wait(*word, 0);
  });
  CHECK(wait_for_sleeper(*word));
  *word = 1;
  sys::futex_wake_all(*word);
  CHECK(end_of(child) == fine);
}

TEST_CASE("a kernel without membarrier is reported", "[futex]") {
  const Refusing refusing(sys::Call::membarrier, ENOSYS);
  CHECK_FALSE(sys::register_heavy_barrier());
}

TEST_CASE("children inherit the registration for heavy barriers", "[futex]") {
  if (!sys::register_heavy_barrier()) return;  // a sandbox, or a kernel before 4.16
  constexpr int get_registrations = 1 << 9;    // Linux 6.3
  constexpr int global_expedited = 1 << 2;
  const auto here = ::syscall(SYS_membarrier, get_registrations, 0, 0);
  if (here < 0) return;
  CHECK((here & global_expedited) != 0);
  CHECK(in_child([&] {
          const auto there = ::syscall(SYS_membarrier, get_registrations, 0, 0);
          expect((there & global_expedited) != 0, "the child is not registered");
        }) == fine);
}

// Dekker: each side raises its flag, then looks at the other's. Without barriers both may see
// none, since a store may wait in the core's buffer while the load goes ahead.
TEST_CASE("a heavy barrier orders the light side too", "[futex]") {
  if (!sys::register_heavy_barrier()) return;
  constexpr int rounds = 20'000;
  Flag frequent, rare;
  Flag round_of_frequent, round_of_rare;
  std::array<int, rounds> seen_by_frequent{};
  std::array<int, rounds> seen_by_rare{};
  const auto meet = [](Flag& mine, Flag& theirs, int round) {
    mine.value.store(round, std::memory_order_release);
    for (int turns = 0; theirs.value.load(std::memory_order_acquire) < round; ++turns) {
      if (turns < 1000) {
        apalis::detail::cpu_relax();
      } else {
        std::this_thread::yield();
      }
    }
  };
  std::thread light([&] {
    for (int i = 0; i < rounds; ++i) {
      meet(round_of_frequent, round_of_rare, i + 1);
      frequent.value.store(i + 1, std::memory_order_relaxed);
      sys::light_barrier();
      seen_by_frequent[static_cast<std::size_t>(i)] = rare.value.load(std::memory_order_relaxed);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    meet(round_of_rare, round_of_frequent, i + 1);
    rare.value.store(i + 1, std::memory_order_relaxed);
    sys::heavy_barrier();
    seen_by_rare[static_cast<std::size_t>(i)] = frequent.value.load(std::memory_order_relaxed);
  }
  light.join();
  int neither = 0;
  for (std::size_t i = 0; i < rounds; ++i)
    if (seen_by_frequent[i] <= static_cast<int>(i) && seen_by_rare[i] <= static_cast<int>(i))
      ++neither;
  CHECK(neither == 0);
}
