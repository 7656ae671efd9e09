// SPDX-License-Identifier: BSL-1.0
// Batches of a measured size: a worker with nothing to do gets what another one has not begun.
#include <sys/mman.h>

#include <apalis/by_value.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engines.hpp"
#include "gate.hpp"

using apalis::Engine;
using apalis::MapError;
using namespace conformance;

namespace {

/// Counters that processes related by fork share.
class Counters {
 public:
  explicit Counters(int count) : bytes_(static_cast<std::size_t>(count) * sizeof(std::atomic<int>)) {
    void* const memory =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    counters_ = static_cast<std::atomic<int>*>(memory);  // zero bytes are zeros
  }
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;
  ~Counters() { ::munmap(counters_, bytes_); }

  std::atomic<int>& operator[](int i) const { return counters_[i]; }

 private:
  std::size_t bytes_;
  std::atomic<int>* counters_;
};

/// Some items are a thousand times as long as others.
int work(int x) {
  const int steps = x % 97 == 0 || x > 1900 ? 50'000 : 50;
  unsigned state = 1;
  for (int i = 0; i < steps; ++i) state = state * 1664525U + 1013904223U + static_cast<unsigned>(x);
  return state == 12345 ? -1 : x;
}

}  // namespace

TEST_CASE("what stands behind an item that takes long is run by others", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  if (runs_here(kind)) return;
  const Engine engine = make_engine(kind);
  constexpr int count = 1000;
  const int slow = GENERATE(0, 1, 500, 990);
  CAPTURE(slow);
  const Counters ran{1};
  Gate others_ran;
  const auto results = engine.map(
      [&](int x) {
        if (x == slow) {
          others_ran.pass();
        } else if (++ran[0] == count - 1) {
          others_ran.open();
        }
        return x;
      },
      numbers(count));
  CHECK(results == numbers(count));
  CHECK(ran[0] == count - 1);
}

TEST_CASE("a few long items run side by side, whether workers sleep or not", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  if (runs_here(kind)) return;
  const Engine engine = make_engine(kind);
  const Counters begun{1};
  constexpr int rounds = 30;
  for (int round = 1; round <= rounds; ++round) {
    const int all = round * kind.workers;
    // Each waits for all others of its round.
    const auto meet = apalis::by_value([counter = &begun[0], all](int x) {
      const auto patience_ends = std::chrono::steady_clock::now() + std::chrono::minutes(1);
      ++*counter;
      while (*counter < all && std::chrono::steady_clock::now() < patience_ends)
        std::this_thread::yield();
      return *counter >= all ? x : -1;
    });
    REQUIRE(engine.map(meet, numbers(kind.workers)) == numbers(kind.workers));
  }
}

TEST_CASE("however items are shared out, each runs once", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  constexpr int count = 2000;
  const auto items = numbers(count);
  const Counters runs{count};
  const auto counted = [&](int x) {
    ++runs[x];
    return work(x);
  };
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    REQUIRE(engine.map(counted, items) == items);
    const auto report = engine.report();
    CHECK(report.items == count);
    std::size_t told = 0;
    for (const auto& worker : report.workers) told += worker.items;
    CHECK(told == count);
    REQUIRE(engine.map_reduce(counted, std::plus<>{}, 0, items) == count * (count - 1) / 2);
    int sum = 0;
    for (const int x : engine.imap_unordered(counted, items)) sum += x;
    REQUIRE(sum == count * (count - 1) / 2);
  }
  for (int x = 0; x < count; ++x) REQUIRE(runs[x] == 3 * rounds);
}

TEST_CASE("a failure behind what was shared out is the first of all", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const int bad = GENERATE(0, 3, 970, 1999);
  CAPTURE(bad);
  try {
    (void)engine.map(
        [bad](int x) {
          if (x >= bad && x % 3 == bad % 3) throw std::runtime_error("no");
          return work(x);
        },
        numbers(2000));
    FAIL("nothing was thrown");
  } catch (const MapError& error) {
    CHECK(error.index() == static_cast<std::uint64_t>(bad));
  }
}
