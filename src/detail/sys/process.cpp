// SPDX-License-Identifier: BSL-1.0
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>  // glibc 2.32
#endif

#include <algorithm>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <cerrno>
#include <cstdint>

namespace apalis::detail::sys {
namespace {

// ThreadSanitizer's runtime has a thread of its own, which looks after itself in a fork.
#if defined(__SANITIZE_THREAD__)
constexpr nlink_t runtimes_threads = 1;
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
constexpr nlink_t runtimes_threads = 1;
#  else
constexpr nlink_t runtimes_threads = 0;
#  endif
#else
constexpr nlink_t runtimes_threads = 0;
#endif

#ifndef P_PIDFD
constexpr auto P_PIDFD = static_cast<idtype_t>(3);
#endif

using Clock = std::chrono::steady_clock;
constexpr std::chrono::hours a_century{24 * 365 * 100};

/// waitid() on exactly this child. Returns its result; `info` tells whether there was one.
int wait_id(pid_t pid, const Fd& pidfd, siginfo_t& info, int options) noexcept {
  if (const int code = pidfd ? injected_fault(Call::wait_pidfd) : 0; code != 0)
    return wait_id(pid, Fd{}, info, options);
  for (;;) {
    info = siginfo_t{};
    const int result =
        pidfd ? ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | options)
              : ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | options);
    if (result == 0 || errno != EINTR) {
      // Linux 5.3 has pidfds but can't wait on them; and a host may have closed ours.
      if (result != 0 && errno != ECHILD && pidfd) return wait_id(pid, Fd{}, info, options);
      return result;
    }
  }
}

}  // namespace

pid_t fork_process() {
  if (const int code = injected_fault(Call::fork); code != 0)
    throw_errno(code, "cannot fork a worker", "see ulimit -u and the cgroup's pids.max");
  const pid_t pid = ::fork();
  if (pid < 0)
    throw_errno(errno, "cannot fork a worker",
                errno == ENOMEM ? "not enough memory to copy this process's page tables"
                                : "see ulimit -u and the cgroup's pids.max");
  return pid;
}

bool has_threads() noexcept {
  if (injected_fault(Call::count_threads) != 0) return false;
#if __has_include(<sys/single_threaded.h>)
  if (__libc_single_threaded != 0) return false;
#endif
  struct stat tasks{};  // a directory's links: one for each task, and two
  return ::stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3 + runtimes_threads;
}

pid_t fork_sibling(std::atomic<std::int32_t>& told) noexcept {
  if (const int code = injected_fault(Call::fork_sibling); code != 0) return -code;
  // What the C library's fork() does for the new process's one thread: it learns its id, and its
  // list of robust mutexes is known to the kernel again.
  void* thread_id = nullptr;
  void* robust_list = nullptr;
  std::size_t robust_size = 0;
  if (::prctl(PR_GET_TID_ADDRESS, &thread_id) != 0) thread_id = nullptr;
  if (::syscall(SYS_get_robust_list, 0, &robust_list, &robust_size) != 0) robust_list = nullptr;
  clone_args args{};
  args.flags = CLONE_PARENT | CLONE_PARENT_SETTID;
  args.parent_tid = reinterpret_cast<std::uintptr_t>(&told);
  if (thread_id != nullptr) {
    args.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args.child_tid = reinterpret_cast<std::uintptr_t>(thread_id);
  }
  const long result = ::syscall(SYS_clone3, &args, sizeof args);
  if (result < 0) return -errno;
  if (result == 0 && robust_list != nullptr)
    ::syscall(SYS_set_robust_list, robust_list, robust_size);
  return static_cast<pid_t>(result);
}

Fd open_pidfd(pid_t pid) noexcept {
  if (injected_fault(Call::pidfd_open) != 0) return {};
  return Fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};  // always close-on-exec
}

std::optional<ExitStatus> try_reap(pid_t pid, const Fd& pidfd) noexcept {
  siginfo_t info;
  if (wait_id(pid, pidfd, info, WNOHANG) != 0) return ExitStatus{};  // ECHILD: somebody reaped it
  if (info.si_pid == 0) return std::nullopt;
  ExitStatus status{.known = true};
  if (info.si_code == CLD_EXITED) {
    status.status = info.si_status;
  } else {
    status.signal = info.si_status;
    status.core_dumped = info.si_code == CLD_DUMPED;
  }
  return status;
}

bool wait_for_end(pid_t pid, const Fd& pidfd, std::chrono::milliseconds limit) noexcept {
  // Clamped, for the longest durations that there are would overflow the clock.
  const auto end = Clock::now() + std::min<std::chrono::milliseconds>(limit, a_century);
  for (;;) {
    auto left = std::chrono::milliseconds{-1};
    if (limit.count() >= 0)
      left = std::max(std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()),
                      std::chrono::milliseconds{0});
    if (pidfd) {
      pollfd entry{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
      const auto slice = std::min<std::chrono::milliseconds::rep>(
          left.count() < 0 ? 1'000'000 : left.count(), 1'000'000);
      if (::poll(&entry, 1, static_cast<int>(slice)) > 0) return true;
    } else {
      siginfo_t info;
      if (wait_id(pid, pidfd, info, WNOHANG | WNOWAIT) != 0 || info.si_pid != 0) return true;
      if (left.count() != 0) ::poll(nullptr, 0, 1);
    }
    if (left.count() == 0) return false;
  }
}

void send_signal(pid_t pid, const Fd& pidfd, int signal) noexcept {
  // Failing means that the process has ended already, which is what callers want to know least; or
  // that a sandbox does not know this call. The pid is not recycled before it is reaped.
  if (pidfd && injected_fault(Call::send_signal) == 0 &&
      (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0 || errno == ESRCH))
    return;
  ::kill(pid, signal);
}

void exit_now(int status) noexcept { ::_exit(status); }

std::string signal_name(int signal) {
  // The first and the last real-time signal are the C library's to tell, and so no constants.
  if (signal == SIGRTMIN) return "SIGRTMIN";
  if (signal > SIGRTMIN && signal <= SIGRTMAX)
    return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  if (const char* const name = ::sigabbrev_np(signal)) return std::string{"SIG"} + name;
  return "signal " + std::to_string(signal);
}

}  // namespace apalis::detail::sys
