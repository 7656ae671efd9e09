// SPDX-License-Identifier: BSL-1.0
#pragma once

// In a worker that is a thread: which call it runs, for whoever asks from within.

#include <atomic>
#include <cstdint>

namespace apalis::detail::actor {

/// **Threads:** `stop` any, the rest the worker's.
struct ThreadCall {
  std::atomic<std::uint64_t> stop{0};  // the order of the call that shall end early
  std::uint64_t order = 0;             // of the call that runs: they count from 1 on
  std::uint32_t worker = 0;
  bool blocks_signals = true;  // the thread, as ours do, and those that are lent may not
};

/// This thread's; null where it is no worker.
extern constinit thread_local const ThreadCall* thread_call;

}  // namespace apalis::detail::actor
