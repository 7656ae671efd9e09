// SPDX-License-Identifier: BSL-1.0
#pragma once

// Probes of groups: the memory of a parent and its workers with `count` small objects in them.

namespace apalis::bench {

double pss_of_made_group(int count);     ///< kB; the objects made in the workers by a factory
double pss_of_carried_group(int count);  ///< kB; the objects carried from a vector

}  // namespace apalis::bench
