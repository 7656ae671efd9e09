// SPDX-License-Identifier: BSL-1.0
// Participants of a barrier that die: the others are told, and nobody waits for them.
#include <apalis/apalis.hpp>
#include <apalis/barrier.hpp>
#include <apalis/shared_array.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using apalis::Barrier;
using apalis::BarrierBroken;
using apalis::Handler;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

/// Far above what it takes, far below what a wait for the dead would take.
constexpr auto soon = 5s;

struct Participant {
  Barrier kept;

  /// Dies there; `die_at` counts the arrivals.
  void run(const Barrier& barrier, int rounds, int die_at) {
    for (int i = 0; i < rounds; ++i) {
      if (i == die_at) std::raise(SIGKILL);
      barrier.arrive_and_wait();
    }
  }
  void ignore(const Barrier&) {}
  void keep(Barrier barrier) { kept = std::move(barrier); }
  void run_kept() { kept.arrive_and_wait(); }
  void exit_now(int status) { std::_Exit(status); }
};

/// Whether this throws BarrierBroken, with that pid, in time.
template <class F>
void check_broken(F wait, pid_t dead) {
  const auto start = Clock::now();
  try {
    wait();
    FAIL("it did not throw");
  } catch (const BarrierBroken& error) {
    CHECK(error.pid() == dead);
    CHECK_THAT(error.what(), ContainsSubstring(std::to_string(dead)));
  }
  CHECK(Clock::now() - start < soon);
}

}  // namespace

TEST_CASE("a participant that dies between phases is reported to all", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> b;
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const Barrier barrier(4);
  auto waits_a = a.call(&Participant::run, barrier, 10, -1);
  auto waits_b = b.call(&Participant::run, barrier, 10, -1);
  auto dies = doomed.call(&Participant::run, barrier, 10, 5);
  for (int i = 0; i < 5; ++i) barrier.arrive_and_wait();
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  check_broken([&] { waits_a.get(); }, dead);
  check_broken([&] { waits_b.get(); }, dead);
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
  // From then on nobody waits.
  CHECK(barrier.broken());
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  check_broken([&] { (void)barrier.arrive_and_wait_for(1h); }, dead);
  check_broken([&] { barrier.arrive_and_drop(); }, dead);
  check_broken([&] { a.call(&Participant::run, barrier, 1, -1).get(); }, dead);
  const Barrier another(2);
  auto waits = a.call(&Participant::run, another, 1, -1);
  another.arrive_and_wait();
  waits.get();
}

TEST_CASE("a worker that dies before its first arrival is reported", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const Barrier barrier(3);
  auto waits = a.call(&Participant::run, barrier, 1, -1);
  auto dies = doomed.call(&Participant::run, barrier, 1, 0);
  // This process does nothing but wait, and so does the other worker.
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  check_broken([&] { waits.get(); }, dead);
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
}

TEST_CASE("workers find out by themselves while their parent is busy", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const int die_at = GENERATE(0, 3);
  CAPTURE(die_at);
  const Barrier barrier(2);
  const apalis::SharedArray<std::int64_t> told(1);
  struct Teller {
    void run(const Barrier& barrier, apalis::SharedArray<std::int64_t> told) {
      try {
        for (;;) barrier.arrive_and_wait();
      } catch (const BarrierBroken& error) {
        std::atomic_ref(told[0]).store(error.pid());
      }
    }
  };
  Handler<Teller> teller;
  auto tells = teller.call(&Teller::run, barrier, told);
  auto dies = doomed.call(&Participant::run, barrier, 10, die_at);
  const auto start = Clock::now();
  while (std::atomic_ref(told[0]).load() == 0 && Clock::now() - start < soon) {  // no library call
  }
  CHECK(told[0] == dead);
  tells.get();
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
}

TEST_CASE("a participant that is killed while it waits is reported", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const Barrier barrier(3);
  auto dies = doomed.call(&Participant::run, barrier, 1, -1);
  auto waits = a.call(&Participant::run, barrier, 1, -1);
  CHECK(!Barrier(2).arrive_and_wait_for(20ms));  // both sleep there
  ::kill(dead, SIGKILL);
  check_broken([&] { waits.get(); }, dead);
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
}

TEST_CASE("a worker that is killed by its handler breaks a barrier", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const Barrier barrier(3);
  auto dies = doomed.call(&Participant::run, barrier, 1, -1);
  auto waits = a.call(&Participant::run, barrier, 1, -1);
  doomed.kill();
  check_broken([&] { waits.get(); }, dead);
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
  CHECK(barrier.broken());
}

TEST_CASE("when all die, the parent is told", "[barrier]") {
  constexpr std::size_t count = 4;
  const Barrier barrier(count + 1);
  std::vector<Handler<Participant>> workers(count);
  std::vector<apalis::Token<void>> tokens;
  for (auto& worker : workers)
    tokens.push_back(worker.call(&Participant::run, barrier, 1000, -1));
  for (int i = 0; i < 10; ++i) barrier.arrive_and_wait();
  for (auto& worker : workers) ::kill(worker.pid(), SIGKILL);
  const auto start = Clock::now();
  CHECK_THROWS_AS([&] { for (;;) barrier.arrive_and_wait(); }(), BarrierBroken);
  CHECK(Clock::now() - start < soon);
  for (auto& token : tokens) CHECK_THROWS_AS(token.get(), apalis::WorkerDied);
}

TEST_CASE("a worker that has let go of a barrier may die", "[barrier]") {
  Handler<Participant> a;
  Handler<Participant> mortal;
  const Barrier barrier(2);
  mortal.call(&Participant::ignore, barrier).get();
  mortal.call(&Participant::keep, barrier).get();
  mortal.call(&Participant::keep, Barrier()).get();
  auto waits = a.call(&Participant::run, barrier, 2, -1);
  barrier.arrive_and_wait();
  mortal.kill();
  barrier.arrive_and_wait();
  waits.get();
  CHECK(!barrier.broken());
}

TEST_CASE("a worker that dropped out may die", "[barrier]") {
  struct Dropper {
    void run(const Barrier& barrier) { barrier.arrive_and_wait(); }
    void drop(const Barrier& barrier) { barrier.arrive_and_drop(); }
  };
  Handler<Dropper> a;
  Handler<Dropper> mortal;
  const Barrier barrier(2);
  auto waits = a.call(&Dropper::run, barrier);
  mortal.call(&Dropper::run, barrier).get();
  waits.get();
  mortal.post(&Dropper::drop, barrier);
  a.call(&Dropper::run, barrier).get();
  mortal.kill();
  a.call(&Dropper::run, barrier).get();
  CHECK(!barrier.broken());
}

TEST_CASE("a worker that never saw a barrier does not break it", "[barrier]") {
  const Barrier barrier(2);
  Handler<Participant> a;
  Handler<Participant> stranger;  // forked while there was one
  stranger.call(&Participant::keep, Barrier()).get();
  auto waits = a.call(&Participant::run, barrier, 2, -1);
  barrier.arrive_and_wait();
  stranger.kill();
  barrier.arrive_and_wait();
  waits.get();
  CHECK(!barrier.broken());
}

TEST_CASE("a worker born with a barrier breaks it", "[barrier]") {
  const bool carries = GENERATE(false, true);
  CAPTURE(carries);
  const Barrier barrier(2);
  auto doomed = carries ? Handler<Participant>{{}, apalis::carry, Participant{barrier}}
                        : Handler<Participant>{{}, std::in_place, barrier};
  const pid_t dead = doomed.pid();
  ::kill(dead, SIGKILL);
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
}

TEST_CASE("a worker that ends by itself breaks a barrier", "[barrier]") {
  Handler<Participant> doomed;
  const pid_t dead = doomed.pid();
  const Barrier barrier(2);
  doomed.call(&Participant::keep, barrier).get();
  auto ends = doomed.call(&Participant::exit_now, 0);
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  CHECK_THROWS_AS(ends.get(), apalis::WorkerDied);
}

TEST_CASE("a worker's replacement finds the barrier broken", "[barrier]") {
  Handler<Participant> phoenix{{.restart = {.max = 3}}, std::in_place};
  const pid_t dead = phoenix.pid();
  const Barrier barrier(2);
  auto dies = phoenix.call(&Participant::run, barrier, 2, 1);
  barrier.arrive_and_wait();
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  CHECK_THROWS_AS(dies.get(), apalis::WorkerDied);
  check_broken([&] { phoenix.call(&Participant::run, barrier, 1, -1).get(); }, dead);
  const Barrier another(2);
  auto waits = phoenix.call(&Participant::run, another, 1, -1);
  another.arrive_and_wait();
  waits.get();
  // And the replacement is known.
  auto dies_too = phoenix.call(&Participant::run, another, 1, 0);
  CHECK_THROWS_AS(another.arrive_and_wait(), BarrierBroken);
  CHECK_THROWS_AS(dies_too.get(), apalis::WorkerDied);
}

TEST_CASE("a worker that is retired leaves its place to the next one", "[barrier]") {
  Handler<Participant> h{{.max_calls_per_worker = 2}, std::in_place};
  const Barrier barrier(2);
  for (int i = 0; i < 10; ++i) {
    auto waits = h.call(&Participant::run, barrier, 3, -1);
    for (int j = 0; j < 3; ++j) barrier.arrive_and_wait();
    waits.get();
    h.drain();  // a worker's successor is made while its parent is in the library
  }
  CHECK(!barrier.broken());
}

TEST_CASE("a grandchild that dies is reported", "[barrier]") {
  struct Outer {
    Handler<Participant> inner;
    pid_t inner_pid() { return inner.pid(); }
    void run(const Barrier& barrier) {
      auto dies = inner.call(&Participant::run, barrier, 5, 0);
      barrier.arrive_and_wait();
    }
  };
  Handler<Outer> outer;
  const pid_t dead = outer.call(&Outer::inner_pid).get();
  const Barrier barrier(3);
  auto waits = outer.call(&Outer::run, barrier);
  check_broken([&] { barrier.arrive_and_wait(); }, dead);
  check_broken([&] { waits.get(); }, dead);
}

TEST_CASE("the bytes of a barrier can be anything", "[barrier]") {
  using apalis::detail::channel::Meeting;
  using apalis::detail::channel::MeetingPage;
  alignas(128) static std::array<std::byte, 4096> memory;
  std::uint64_t seed = 12345;
  const auto next = [&] {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
  };
  for (int round = 0; round < 300; ++round) {
    memory = {};
    Meeting meeting{memory};
    meeting.begin(2, 2);
    auto* const words = reinterpret_cast<std::uint64_t*>(memory.data());
    const auto limits = GENERATE_COPY(as<std::size_t>{}, 40, 512);
    for (int i = 0; i < 20; ++i)
      std::atomic_ref(words[next() % limits]).store(round % 2 == 0 ? next() : ~std::uint64_t{0});
    const auto start = Clock::now();
    (void)meeting.arrive({.limit = 1ms});
    (void)meeting.arrive({.for_good = true});
    (void)meeting.lost();
    meeting.invite(next());
    meeting.excuse(next());
    meeting.part(static_cast<pid_t>(next()));
    meeting.lose(static_cast<pid_t>(next()));
    CHECK(Clock::now() - start < soon);
  }
}
