// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cores that this process may use.

#include <sys/types.h>

#include <vector>

namespace apalis::detail::sys {

/// Cores allowed by affinity and by cgroup v1/v2 quotas of this and all enclosing groups, rounded
/// up, at least 1. Reads files: microseconds. What can't be read does not limit.
[[nodiscard]] int usable_cores();

/// Cores in the affinity mask alone: one system call.
[[nodiscard]] int allowed_cores() noexcept;

/// Which these are, ascending; {0} where that can't be read.
[[nodiscard]] std::vector<int> allowed_core_list();

/// Pins a process (0: the calling thread). Returns 0 or an errno.
[[nodiscard]] int pin(pid_t pid, int cpu) noexcept;

/// The calling thread's affinity mask; empty where that can't be read or kept.
using Affinity = std::vector<unsigned char>;
[[nodiscard]] Affinity affinity() noexcept;
/// Gives it back; does nothing with an empty one.
void set_affinity(const Affinity& mask) noexcept;

/// The core that the calling thread runs on, a moment ago.
[[nodiscard]] int current_core() noexcept;

/// Moves the calling thread to a core and leaves its affinity as it was. False if it may not run
/// there.
bool move_to_core(int core) noexcept;

/// Lets another runnable thread use this core.
void yield_core() noexcept;

}  // namespace apalis::detail::sys
