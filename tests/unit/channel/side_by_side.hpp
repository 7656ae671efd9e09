// SPDX-License-Identifier: BSL-1.0
#pragma once

// Threads that must all come to an end.

#include <chrono>
#include <cstddef>
#include <functional>
#include <semaphore>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"

namespace apalis::test {

/// Rounds for a stress test: a tenth where each costs ten times as much.
constexpr int rounds_of(int count) {
  return under_tsan ? count / 10 : count;
}

/// Runs the bodies in a thread each. False if they did not end in time: `rescue` is then called
/// until they do, so that a lost wake-up is a failure and not a hang.
[[nodiscard]] inline bool all_end(const std::vector<std::function<void()>>& bodies,
                                  const std::function<void()>& rescue) {
  using namespace std::chrono_literals;
  std::counting_semaphore<> ended{0};
  std::vector<std::thread> threads;
  threads.reserve(bodies.size());
  for (const auto& body : bodies)
    threads.emplace_back([&] {
      body();
      ended.release();
    });
  bool in_time = true;
  const auto limit = std::chrono::steady_clock::now() + 45s;  // less than CTest waits
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    if (ended.try_acquire_until(limit)) continue;
    in_time = false;
    do rescue();
    while (!ended.try_acquire_for(1ms));
  }
  for (auto& thread : threads) thread.join();
  return in_time;
}

}  // namespace apalis::test
