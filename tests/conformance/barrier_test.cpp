// SPDX-License-Identifier: BSL-1.0
// Objects that wait for each other.
#include <apalis/barrier.hpp>
#include <apalis/shared_array.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "support/shared_bytes.hpp"

using apalis::Backend;
using apalis::Barrier;
using apalis::SharedArray;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Setting {
  Barrier barrier;
  int rounds = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(barrier, rounds);
  }
};

/// One of those who write their own cell and read all others' between two phases.
struct Runner {
  std::size_t me = 0;
  Barrier kept;

  bool run(std::span<std::int64_t> cells, const Barrier& barrier, int rounds) {
    bool in_step = true;
    for (std::int64_t round = 1; round <= rounds; ++round) {
      cells[me] = round;
      barrier.arrive_and_wait();
      for (const auto& cell : cells) in_step &= cell == round;
      barrier.arrive_and_wait();
    }
    return in_step;
  }
  void wait(Barrier barrier) { barrier.arrive_and_wait(); }
  bool wait_for(const Barrier& barrier, std::chrono::nanoseconds limit) {
    return barrier.arrive_and_wait_for(limit);
  }
  void drop(const Barrier& barrier) { barrier.arrive_and_drop(); }
  int run_setting(const Setting& setting) {
    for (int i = 0; i < setting.rounds; ++i) setting.barrier.arrive_and_wait();
    return setting.rounds;
  }
  Barrier make() { return Barrier(1); }
  void keep(Barrier barrier) { kept = std::move(barrier); }
  void wait_at_kept() { kept.arrive_and_wait(); }
  Barrier give() { return kept; }
  void let_go() { kept = {}; }
};

apalis::GroupHandler<Runner> runners(Backend backend, std::size_t count) {
  return {{.workers = count, .backend = backend}, std::in_place, count, [](std::size_t i) {
            return Runner{i, {}};
          }};
}

[[nodiscard]] Backend each_concurrent_backend() {
  return GENERATE(Backend::processes, Backend::threads);
}

}  // namespace

TEST_CASE("a barrier for one never waits", "[barrier]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Barrier barrier(1);
  for (int i = 0; i < 100; ++i) barrier.arrive_and_wait();
  CHECK(barrier.arrive_and_wait_for(0ns));
  auto h = on<Runner>(backend);
  h.call(&Runner::wait, barrier).get();
  CHECK(barrier.participants() == 1);
  CHECK(!barrier.broken());
}

TEST_CASE("the number of a barrier's participants has limits", "[barrier]") {
  CHECK_THROWS_WITH(Barrier(0), ContainsSubstring("1 to 32767"));
  CHECK_THROWS_WITH(Barrier(static_cast<std::size_t>(-1)), ContainsSubstring("1 to 32767"));
  CHECK(Barrier(32767).participants() == 32767);
}

TEST_CASE("what is no barrier says so", "[barrier]") {
  Barrier none;
  CHECK_THROWS_WITH(none.arrive_and_wait(), ContainsSubstring("is none"));
  CHECK_THROWS_AS(none.participants(), apalis::Error);
  Barrier one(1);
  const Barrier other = std::move(one);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
  CHECK_THROWS_WITH(one.arrive_and_wait(), ContainsSubstring("moved from"));
  none = other;
  none.arrive_and_wait();
}

TEST_CASE("workers keep in step", "[barrier]") {
  const auto backend = each_concurrent_backend();
  const std::size_t count = GENERATE(2, 3, 7);
  CAPTURE(backend, count);
  auto g = runners(backend, count);
  const SharedArray<std::int64_t> cells(count);
  const Barrier barrier(count);
  const int rounds = count == 2 ? 20'000 : 500;
  CHECK(g.map(&Runner::run, cells, barrier, rounds) == std::vector<bool>(count, true));
}

TEST_CASE("the caller takes part", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  auto g = runners(backend, 2);
  const SharedArray<std::int64_t> cells(3);
  const Barrier barrier(3);
  constexpr int rounds = 300;
  auto token = g.start_map(&Runner::run, cells, barrier, rounds);
  CHECK(Runner{2, {}}.run(cells.span(), barrier, rounds));
  CHECK(token.get() == std::vector<bool>(2, true));
}

TEST_CASE("threads of one process take part, each for itself", "[barrier]") {
  constexpr std::size_t count = 4;
  const SharedArray<std::int64_t> cells(count);
  const Barrier barrier(count);
  std::atomic<int> in_step{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i)
    threads.emplace_back([&, i] { in_step += Runner{i, {}}.run(cells.span(), barrier, 500); });
  for (auto& thread : threads) thread.join();
  CHECK(in_step == count);
}

TEST_CASE("a barrier wakes those who sleep", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  auto g = runners(backend, 2);
  const Barrier barrier(3);
  for (int round = 0; round < 5; ++round) {
    auto token = g.start_map(&Runner::wait, barrier);
    CHECK(!Barrier(2).arrive_and_wait_for(20ms));  // they sleep by now
    CHECK(!token.ready());
    barrier.arrive_and_wait();
    token.get();
  }
}

TEST_CASE("an arrival that gives up does not count", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  auto h = on<Runner>(backend);
  const Barrier barrier(2);
  CHECK(!h.call(&Runner::wait_for, barrier, std::chrono::nanoseconds(0)).get());
  CHECK(!h.call(&Runner::wait_for, barrier, std::chrono::nanoseconds(1ms)).get());
  CHECK(!barrier.arrive_and_wait_for(0s));
  CHECK(!barrier.arrive_and_wait_for(10ms));
  auto token = h.call(&Runner::wait, barrier);
  CHECK(barrier.arrive_and_wait_for(std::chrono::hours::max()));
  token.get();
}

TEST_CASE("who drops out is not waited for", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  const Barrier barrier(3);
  auto stays = on<Runner>(backend);
  {
    auto leaves = on<Runner>(backend);
    auto waits = stays.call(&Runner::wait, barrier);
    leaves.call(&Runner::drop, barrier).get();
    barrier.arrive_and_wait();
    waits.get();
  }
  CHECK(barrier.participants() == 2);
  for (int i = 0; i < 3; ++i) {
    auto waits = stays.call(&Runner::wait, barrier);
    barrier.arrive_and_wait();
    waits.get();
  }
  auto waits = stays.call(&Runner::wait, barrier);
  barrier.arrive_and_drop();
  waits.get();
  stays.call(&Runner::wait, barrier).get();
  stays.call(&Runner::drop, barrier).get();
  CHECK(barrier.participants() == 0);
  CHECK_THROWS_WITH(barrier.arrive_and_wait(), ContainsSubstring("dropped out"));
}

TEST_CASE("barriers cross in structs and come back", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  auto h = on<Runner>(backend);
  Barrier barrier(2);
  auto token = h.call(&Runner::run_setting, Setting{barrier, 10});
  for (int i = 0; i < 10; ++i) barrier.arrive_and_wait();
  CHECK(token.get() == 10);
  h.call(&Runner::keep, std::move(barrier)).get();
  const Barrier back = h.call(&Runner::give).get();
  auto waits = h.call(&Runner::wait_at_kept);
  back.arrive_and_wait();
  waits.get();
  CHECK_THROWS_WITH(h.call(&Runner::wait, Barrier()).get(), ContainsSubstring("is none"));
}

TEST_CASE("a barrier is there before the worker, and the worker before the barrier", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  auto before = on<Runner>(backend);
  before.call(&Runner::let_go).get();
  const Barrier barrier(3);
  auto made_with = on<Runner>(backend, std::size_t{0}, barrier);
  apalis::Handler<Runner> carried{options_for(backend), apalis::carry, Runner{0, barrier}};
  const SharedArray<std::int64_t> cells(1);
  before.call(&Runner::keep, barrier).get();
  for (int i = 0; i < 3; ++i) {
    auto a = before.call(&Runner::wait_at_kept);
    auto b = made_with.call(&Runner::wait_at_kept);
    auto c = carried.call(&Runner::wait_at_kept);
    a.get();
    b.get();
    c.get();
  }
}

TEST_CASE("a worker that is closed leaves its place to another", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  const Barrier barrier(2);
  for (int i = 0; i < 5; ++i) {
    auto g = runners(backend, 2);
    g.map(&Runner::wait, barrier);
    g.map(&Runner::keep, barrier);
    g.map(&Runner::wait_at_kept);
  }
  CHECK(!barrier.broken());
}

TEST_CASE("an object passes a barrier on to an object of its own", "[barrier]") {
  struct Outer {
    explicit Outer(Backend backend) : inner(on<Runner>(backend)) {}
    apalis::Handler<Runner> inner;
    void meet(const Barrier& barrier, int rounds) {
      auto token = inner.call(&Runner::run_setting, Setting{barrier, rounds});
      for (int i = 0; i < rounds; ++i) barrier.arrive_and_wait();
      token.get();
    }
  };
  const auto backend = each_concurrent_backend();
  const auto inner = each_concurrent_backend();
  CAPTURE(backend, inner);
  auto h = on<Outer>(backend, inner);
  const Barrier barrier(3);
  auto token = h.call(&Outer::meet, barrier, 50);
  for (int i = 0; i < 50; ++i) barrier.arrive_and_wait();
  token.get();
}

TEST_CASE("a call in this very process does not wait for those behind it", "[barrier]") {
  auto h = on<Runner>(Backend::serial);
  const Barrier barrier(2);
  CHECK_THROWS_WITH(h.call(&Runner::wait, barrier).get(), ContainsSubstring("serial backend"));
  CHECK(!barrier.broken());
  // It need not wait if all others are there.
  auto other = on<Runner>(Backend::threads);
  auto waits = other.call(&Runner::wait, barrier);
  for (bool met = false; !met;) {
    try {
      h.call(&Runner::wait, barrier).get();
      met = true;
    } catch (const apalis::Error&) {
      std::this_thread::yield();
    }
  }
  waits.get();
}

TEST_CASE("a barrier's memory goes back with its last handle", "[barrier]") {
  const auto backend = each_concurrent_backend();
  CAPTURE(backend);
  const auto before = apalis::test::shared_bytes();
  {
    auto g = runners(backend, 2);
    for (int i = 0; i < 100; ++i) g.map(&Runner::wait, Barrier(2));
    g.map(&Runner::keep, Barrier(2));
    g.map(&Runner::wait_at_kept);
    g.map(&Runner::let_go);
  }
  CHECK(apalis::test::shared_bytes() < before + (std::size_t{1} << 18));
}

TEST_CASE("a barrier made in a worker process can't be sent up", "[barrier]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Runner>(backend);
  if (backend == Backend::processes) {
    CHECK_THROWS_WITH(h.call(&Runner::make).get(),
                      ContainsSubstring("a Barrier that was made in a worker can't be sent up"));
  } else {
    CHECK(h.call(&Runner::make).get().participants() == 1);
  }
}
