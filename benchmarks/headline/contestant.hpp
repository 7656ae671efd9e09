// SPDX-License-Identifier: BSL-1.0
#pragma once

// Ways to run the same tasks on all cores.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace apalis::bench {

/// One way, for a fixed number of tasks.
struct Contestant {
  std::string name;   ///< in the table
  std::string title;  ///< in the plots
  /// A function that runs all tasks once, each of that many steps of the kernel; it is called over
  /// and over, and what it prepares may be prepared before.
  std::function<std::function<void()>(std::uint64_t steps)> round_of;
};

/// All of them for `tasks` tasks on `cores` workers, the serial loop first. Those that have
/// processes fork them here: make all lists before any thread begins.
std::vector<Contestant> contestants(std::size_t tasks, std::size_t cores);

}  // namespace apalis::bench
