// SPDX-License-Identifier: BSL-1.0
#pragma once

// Some figures belong to a whole process: its memory, its idle time, its instructions. For these
// the suite runs its own program again, `apalis_bench --probe NAME --count N`, which prints one
// number.

#include <string>

namespace apalis::bench {

/// Runs the probe in a fresh process and returns its number.
double probe(const std::string& name, int count);

/// The other side: what such a run does.
double run_probe(const std::string& name, int count);

}  // namespace apalis::bench
