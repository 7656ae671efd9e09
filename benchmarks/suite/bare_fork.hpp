// SPDX-License-Identifier: BSL-1.0
#pragma once

// References for creation and memory: processes forked by hand that do nothing.

#include <sys/types.h>

#include "interleave.hpp"

namespace apalis::bench {

/// fork, _exit in the child, waitpid.
[[nodiscard]] Side fork_exit_wait();

/// fork alone, as the parent sees it; the child is reaped outside the time.
[[nodiscard]] Side bare_fork();

/// A child that runs and blocks for ever; end it with end_child.
pid_t fork_idle_child();

}  // namespace apalis::bench
