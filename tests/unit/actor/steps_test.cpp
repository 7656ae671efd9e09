// SPDX-License-Identifier: BSL-1.0
// A call in steps: what begins, and what may be taken back.
#include <algorithm>
#include <apalis/detail/actor/steps.hpp>
#include <apalis/detail/actor/thread_call.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "support/catch.hpp"

using namespace apalis::detail::actor;

namespace {

/// This thread runs call `order` of a worker.
class InCall {
 public:
  explicit InCall(std::uint64_t order) : before_(std::exchange(thread_call, &call)) {
    call.order = order;
  }
  InCall(const InCall&) = delete;
  InCall& operator=(const InCall&) = delete;
  ~InCall() { thread_call = before_; }

  ThreadCall call;

 private:
  ThreadCall* before_;
};

constexpr std::uint64_t order = 7;

}  // namespace

TEST_CASE("outside of workers every step may begin", "[steps]") {
  Steps steps;
  CHECK(steps.begin(0));
  CHECK(steps.begin(~std::uint32_t{0} - 1));
}

TEST_CASE("steps begin as long as nobody limits them, and say so", "[steps]") {
  InCall worker{order};
  Steps steps;
  CHECK(steps.begin(0));
  CHECK(steps.begin(1));
  CHECK(call_of(worker.call.steps) == order);
  CHECK(number_in(worker.call.steps) == 2);
}

TEST_CASE("no step begins beyond a limit", "[steps]") {
  InCall worker{order};
  const auto most = GENERATE(0U, 1U, 5U);
  worker.call.step_limit = limit_word(order, most);
  Steps steps;
  for (std::uint32_t i = 0; i < most; ++i) CHECK(steps.begin(i));
  CHECK_FALSE(steps.begin(most));
  CHECK(number_in(worker.call.steps) == most + 1);  // claimed, then left to whoever set the limit
}

TEST_CASE("the limit of another call is none", "[steps]") {
  InCall worker{order};
  worker.call.step_limit = limit_word(order - 1, 0);
  Steps steps;
  CHECK(steps.begin(0));
}

TEST_CASE("a step that was taken back never begins, at any speed", "[steps]") {
  // As ThreadLink: the limit, a fence, then a look at what has begun.
  constexpr std::uint32_t count = 64;
  for (int round = 0; round < 500; ++round) {
    ThreadCall call;
    call.order = order;
    std::atomic<bool> ready{false};
    std::array<bool, count> ran{};
    std::thread worker{[&] {
      thread_call = &call;
      Steps steps;
      ready = true;
      for (std::uint32_t i = 0; i < count && steps.begin(i); ++i) ran.at(i) = true;
      thread_call = nullptr;
    }};
    while (!ready) std::this_thread::yield();
    const auto most = static_cast<std::uint32_t>(round) % 8;
    call.step_limit.store(limit_word(order, most), std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto word = call.steps.load(std::memory_order_acquire);
    const auto begun = call_of(word) == order ? number_in(word) : 0;
    worker.join();
    const auto kept = std::max(begun, most);
    for (std::uint32_t i = kept; i < count; ++i) REQUIRE_FALSE(ran.at(i));
    for (std::uint32_t i = 0; i < std::min(most, count); ++i) REQUIRE(ran.at(i));
  }
}
