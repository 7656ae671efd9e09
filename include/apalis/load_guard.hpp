// SPDX-License-Identifier: BSL-1.0
#pragma once

// Whether others keep the machine so busy that working in parallel would only add to the crowd.
//
//   if (apalis::machine_is_busy(0.8)) return render_serially(items);

#include <chrono>

namespace apalis {

/// Tasks of others that must share the cores which this process may use (cpu_count() at the first
/// look), for each of these cores: 0 is an idle machine, from 1 on no core is left. Others are all
/// but the thread that asks, this process's workers, and what both did in the last minute; in a
/// worker, its siblings are others too. Where this process may use some of the cores only, others
/// are expected to use the rest first.
struct LoadOfOthers {
  double average = 0;  ///< of about the last minute, by the kernel's load average
  double now = 0;      ///< runnable at this moment: the average comes late, and stays late
};

/// **Threads:** any. **Blocks:** for one read of /proc/loadavg: 2 µs, 0.1 ms the first time. Both
/// figures are 0 where that can't be read, as in some containers. **Throws** bad_alloc.
[[nodiscard]] LoadOfOthers load_of_others();

/// Whether either is more than this. **Throws** Error: below zero, or no number.
[[nodiscard]] bool machine_is_busy(double max_load_average);

namespace detail {

/// For who makes worker processes work: these were busy for so long in all, within that time. The
/// next minute's averages then hold it as our own. (This process's own threads are seen anyway.)
void note_own_work(double busy_seconds, std::chrono::steady_clock::time_point from,
                   std::chrono::steady_clock::time_point to);

}  // namespace detail
}  // namespace apalis
