// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/pending_queue.hpp>
#include <array>
#include <cstddef>
#include <deque>
#include <random>

#include "fake_link.hpp"
#include "support/catch.hpp"

using apalis::detail::actor::PendingQueue;
using apalis::detail::actor::State;
using apalis::test::FakeState;

TEST_CASE("an empty queue gives nothing", "[pending_queue]") {
  PendingQueue queue;
  CHECK(queue.empty());
  CHECK(queue.front() == nullptr);
  CHECK(queue.pop() == nullptr);
  CHECK(queue.pop() == nullptr);
}

TEST_CASE("states come out in the order they went in", "[pending_queue]") {
  PendingQueue queue;
  std::array<FakeState, 5> states;
  for (auto& state : states) queue.push(state);
  for (auto& state : states) {
    CHECK_FALSE(queue.empty());
    CHECK(queue.front() == &state);
    CHECK(queue.pop() == &state);
  }
  CHECK(queue.empty());
}

TEST_CASE("a queue that ran empty takes states again, even the same ones", "[pending_queue]") {
  PendingQueue queue;
  FakeState first, second;
  for (int round = 0; round < 3; ++round) {
    queue.push(first);
    queue.push(second);
    CHECK(queue.pop() == &first);
    queue.push(first);
    CHECK(queue.pop() == &second);
    CHECK(queue.pop() == &first);
    CHECK(queue.empty());
  }
}

TEST_CASE("random pushes and pops", "[pending_queue]") {
  PendingQueue queue;
  std::array<FakeState, 64> states;
  std::deque<State*> idle;
  std::deque<State*> expected;
  for (auto& state : states) idle.push_back(&state);
  std::mt19937 random{3};
  for (int i = 0; i < 10'000; ++i) {
    if (random() % 2 == 0 && !idle.empty()) {
      queue.push(*idle.front());
      expected.push_back(idle.front());
      idle.pop_front();
    } else if (State* const state = queue.pop()) {
      REQUIRE(state == expected.front());
      expected.pop_front();
      idle.push_back(state);
    }
    REQUIRE(queue.empty() == expected.empty());
    REQUIRE(queue.size() == expected.size());
  }
}
