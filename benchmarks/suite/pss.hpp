// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory of processes: their private pages, and their share of those that others map too.

#include <sys/types.h>

#include <vector>

namespace apalis::bench {

double pss_in_kb(const std::vector<pid_t>& processes);  ///< sum

}  // namespace apalis::bench
