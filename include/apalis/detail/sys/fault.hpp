// SPDX-License-Identifier: BSL-1.0
#pragma once

// The seam where tests make system calls fail: every wrapper of this room asks the hook first.
//
//   sys::set_fault_hook([](sys::Call c) noexcept { return c == sys::Call::fork ? EAGAIN : 0; });

namespace apalis::detail::sys {

/// The system calls that a test can refuse, by what they are for.
enum class Call {
  memfd_create,
  ftruncate,
  seal,
  mmap,
  back,     // giving pages to shared memory: MADV_POPULATE_WRITE or fallocate
  discard,  // MADV_REMOVE
  hide,     // mprotect(PROT_NONE)
  show,     // mprotect(PROT_READ | PROT_WRITE)
  fork,
  fork_sibling,
  pidfd_open,
  pipe,
  watch_parent,  // the child's open, fcntl and prctl calls on the parent's pipe
  set_affinity,
  membarrier,
  populate,       // whether pages can be backed on demand
  watch_fork,     // the parent's open and fcntl calls for the child about to be forked
  count_threads,  // stat of /proc/self/task
  wait_pidfd,     // waitid(P_PIDFD)
  send_signal,    // pidfd_send_signal
  get_affinity,
  title,
  arm_report,  // sigaltstack and sigaction for crash reports
  event,       // eventfd, epoll_create1, timerfd_create
  thread,      // pthread_create
  find_process,  // open of /proc/PID/stat
  file,        // open and write of files that hold shared values
};
inline constexpr int call_count = static_cast<int>(Call::file) + 1;

/// Returns 0 to let the call through, or the errno to fail with.
using FaultHook = int (*)(Call) noexcept;

/// Installs `hook` (null: none) and returns the one before. **Threads:** any; meant for tests.
FaultHook set_fault_hook(FaultHook hook) noexcept;

/// The errno that the hook wants `call` to fail with, 0 without a hook.
[[nodiscard]] int injected_fault(Call call) noexcept;

}  // namespace apalis::detail::sys
