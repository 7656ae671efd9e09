// SPDX-License-Identifier: BSL-1.0
#include <apalis/cpu_count.hpp>
#include <apalis/detail/sys/cpu.hpp>

namespace apalis {

int cpu_count() { return detail::sys::usable_cores(); }

}  // namespace apalis
