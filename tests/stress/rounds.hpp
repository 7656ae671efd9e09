// SPDX-License-Identifier: BSL-1.0
#pragma once

// What rounds of random deaths have in common.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace stress {

/// What was wrong, from all threads.
class Complaints {
 public:
  void add(std::string what) {
    const std::lock_guard lock{mutex_};
    if (all_.size() < 5) all_.push_back(std::move(what));
  }
  [[nodiscard]] std::string text() const {
    std::string joined;
    for (const auto& each : all_) joined += each + '\n';
    return joined;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> all_;
};

/// A signal for a child of this process, never for a stranger that has its pid by now.
void signal_child(pid_t pid, int signal);

/// A few times, at random moments of `progress` until that is `steps`, ends the worker that
/// `victim` names.
void kill_at_random(const std::function<pid_t()>& victim, std::mt19937_64& random,
                    const std::atomic<int>& progress, int steps);

/// In a worker: its crashes are its own, not the test framework's.
void crash_plainly();

}  // namespace stress
