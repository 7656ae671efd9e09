// SPDX-License-Identifier: BSL-1.0
#pragma once

// In a worker that is a thread: which call it runs, for whoever asks from within.

#include <apalis/detail/actor/steps.hpp>
#include <atomic>
#include <cstdint>

namespace apalis::detail::actor {

/// **Threads:** atomics any, the rest the worker's.
struct ThreadCall {
  std::atomic<std::uint64_t> stop{0};  // the order of the call that shall end early
  std::uint64_t order = 0;             // of the call that runs: they count from 1 on
  std::atomic<StepWord> steps{0};       // of it that have begun
  std::atomic<StepWord> step_limit{0};  // how many may
  std::uint32_t worker = 0;
};

/// This thread's; null where it is no worker.
extern constinit thread_local ThreadCall* thread_call;

}  // namespace apalis::detail::actor
