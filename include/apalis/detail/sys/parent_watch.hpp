// SPDX-License-Identifier: BSL-1.0
#pragma once

// Children end with their parent, even while they spin: the parent alone holds the write end of a
// pipe; in each child, the read end raises SIGKILL when that last writer is gone.
//
// Why not PR_SET_PDEATHSIG: it fires when the forking *thread* ends.

#include <sys/types.h>

#include <apalis/detail/sys/per_process.hpp>

namespace apalis::detail::sys {

/// The write end, one for the process, made at first use. Throws SystemError.
[[nodiscard]] int parent_pipe(const ForkLock&);

/// Held by a thread while it forks a child that will call watch_parent(), and never left in that
/// child. Every other fork of the program closes its copy of the write end, which would keep our
/// children from noticing. Needs parent_pipe() before.
class WatchedFork {
 public:
  WatchedFork() noexcept;
  ~WatchedFork();
  WatchedFork(const WatchedFork&) = delete;
  WatchedFork& operator=(const WatchedFork&) = delete;
};

/// The descriptor that watch_parent() needs in a process of this library's own that forks for its
/// parent: there is none to close.
inline constexpr int no_pipe = -1;

/// In a child just forked under a WatchedFork, before anything else: arms the watch on `pipe` (the
/// parent's write end, inherited) and closes the inherited descriptor. False where the kernel
/// refuses (no /proc): the child then relies on parent_is_gone(). Does not return if the parent has
/// died meanwhile.
bool watch_parent(int pipe, pid_t parent) noexcept;

/// Whether the process that forked this one has ended.
[[nodiscard]] bool parent_is_gone(pid_t parent) noexcept;

}  // namespace apalis::detail::sys
