// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a call can learn of the worker that it runs in.
//
//   double Solver::solve(int steps) {
//     const auto stop = apalis::this_worker().stop_token();
//     for (int i = 0; i < steps && !stop.stop_requested(); ++i) step();
//     return residual();
//   }

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace apalis {

/// Says whether Token::cancel() was called for the call that made it.
///
/// **Threads:** any; it may be copied to threads that work for the call.
/// **Blocks:** never: a look costs a load.
class StopToken {
 public:
  StopToken() noexcept = default;

  /// True from a cancel() on; for good. Always false outside of a worker.
  [[nodiscard]] bool stop_requested() const noexcept {
    return word_ != nullptr && word_->load(std::memory_order_relaxed) == order_;
  }
  /// Whether it can ever be.
  [[nodiscard]] bool stop_possible() const noexcept { return word_ != nullptr; }

 private:
  friend class ThisWorker;
  StopToken(const std::atomic<std::uint64_t>& word, std::uint64_t order) noexcept
      : word_(&word), order_(order) {}

  const std::atomic<std::uint64_t>* word_ = nullptr;  // where the parent says who shall stop
  std::uint64_t order_ = 0;
};

/// **Threads:** the worker's, while it runs a call.
class ThisWorker {
 public:
  /// Whether this is a worker's process or thread; the rest is empty where it is not, as in the
  /// serial backend.
  [[nodiscard]] bool exists() const noexcept;
  /// Which of its group's workers it is, from 0 on; 0 for a handler's.
  [[nodiscard]] std::uint32_t index() const noexcept;
  /// How many workers its handler had before it.
  [[nodiscard]] std::uint32_t generation() const noexcept;
  [[nodiscard]] pid_t pid() const noexcept;
  /// Of the call that runs.
  [[nodiscard]] StopToken stop_token() const noexcept;

 private:
  friend ThisWorker this_worker() noexcept;
  ThisWorker() noexcept = default;
};

[[nodiscard]] inline ThisWorker this_worker() noexcept { return {}; }

}  // namespace apalis
