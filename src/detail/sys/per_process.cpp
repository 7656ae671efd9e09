// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/per_process.hpp>

namespace apalis::detail::sys {
namespace {
constinit PerProcess<std::recursive_mutex> fork_mutex;
}

ForkLock lock_forks() { return ForkLock{fork_mutex.get()}; }

}  // namespace apalis::detail::sys
