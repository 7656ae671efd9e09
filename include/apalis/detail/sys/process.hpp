// SPDX-License-Identifier: BSL-1.0
#pragma once

// Processes: fork, pidfd, exit status. Nothing here waits for "any child".

#include <sys/types.h>

#include <apalis/detail/sys/fd.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace apalis::detail::sys {

/// How a child ended. `known` is false where the host reaped it first (waitpid(-1), SIGCHLD
/// ignored).
struct ExitStatus {
  bool known = false;
  int status = 0;  // exit status, if signal is 0
  int signal = 0;
  bool core_dumped = false;
};

/// fork() with the C library's handlers. Returns 0 in the child. Throws SystemError with advice.
[[nodiscard]] pid_t fork_process();

/// Whether this process has more than the calling thread, as far as the kernel tells.
[[nodiscard]] bool has_threads() noexcept;

/// A fork whose child is not the caller's but the caller's parent's. Returns 0 in the new process,
/// its pid in the caller, -errno if there is none. It runs no fork handlers, so it is for processes
/// that have one thread and hold no lock. `told`: gets the pid before the new process runs, for a
/// parent that can see it there even if the caller dies.
[[nodiscard]] pid_t fork_sibling(std::atomic<std::int32_t>& told) noexcept;

/// A pidfd for a child of this process; empty where the kernel has none or none is left.
[[nodiscard]] Fd open_pidfd(pid_t pid) noexcept;

/// The exit status if the child has ended, having reaped it; nothing while it runs. Never blocks.
[[nodiscard]] std::optional<ExitStatus> try_reap(pid_t pid, const Fd& pidfd) noexcept;

/// Waits until the child ends or the limit has passed (negative: no limit); true if it has ended.
/// Does not reap. Without a pidfd it polls every millisecond.
bool wait_for_end(pid_t pid, const Fd& pidfd, std::chrono::milliseconds limit) noexcept;

/// Sends a signal; by pidfd, so that a recycled pid is never hit.
void send_signal(pid_t pid, const Fd& pidfd, int signal) noexcept;

/// Ends this process at once: no atexit handlers, no flushing.
[[noreturn]] void exit_now(int status) noexcept;

/// "SIGSEGV" for 11, "SIGRTMIN+2" for 36, "signal 77" for what has no name.
[[nodiscard]] std::string signal_name(int signal);

}  // namespace apalis::detail::sys
