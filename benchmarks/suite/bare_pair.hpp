// SPDX-License-Identifier: BSL-1.0
#pragma once

// The reference for speed-up: two forked processes that each run their half of the tasks and talk
// to nobody until they are done. What two cores of this machine give at best.

#include <sys/types.h>

#include <array>
#include <cstdint>

namespace apalis::bench {

class BarePair {
 public:
  BarePair();
  ~BarePair();
  BarePair(const BarePair&) = delete;
  BarePair& operator=(const BarePair&) = delete;

  /// Both processes run the kernel `tasks` times; returns when both are done. The caller blocks and
  /// leaves both cores to them.
  void run(std::uint64_t tasks, std::uint64_t steps);

 private:
  struct Order {
    std::uint64_t tasks;
    std::uint64_t steps;
  };
  struct Process {
    pid_t pid;
    int orders;
  };

  [[noreturn]] static void serve(int orders, int done) noexcept;

  int done_;
  std::array<Process, 2> processes_;
};

}  // namespace apalis::bench
