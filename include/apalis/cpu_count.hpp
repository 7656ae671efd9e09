// SPDX-License-Identifier: BSL-1.0
#pragma once

// How many cores this process may really use.

namespace apalis {

/// Cores that this process may use, at least 1: the affinity mask, limited by the CPU quotas of
/// its control group and all enclosing ones (v1 and v2), rounded up. Reads files: microseconds.
[[nodiscard]] int cpu_count();

}  // namespace apalis
