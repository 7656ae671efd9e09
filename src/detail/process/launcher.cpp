// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/crash_report.hpp>
#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/stdio.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <apalis/detail/sys/title.hpp>

extern "C" __attribute__((weak)) void __gcov_dump();  // NOLINT: present under coverage only

namespace apalis::detail::process {
namespace {

constinit ChildIdentity identity;

constexpr int exit_software = 70;  // EX_SOFTWARE of sysexits.h

/// exit() in a child runs the handlers that the child registered, then this one, and none of the
/// parent's, which come after it.
void end_without_parents_handlers() noexcept {
#ifdef __GLIBC__
  ::on_exit(
      [](int status, void*) {
        sys::flush_output();
        sys::exit_now(status);
      },
      nullptr);
#endif
}

/// The child's life. It runs on the parent's stack frames, which it must never return to.
/// Only the forking thread exists here. glibc keeps malloc and stdio usable after a fork from a
/// threaded process; locks of other libraries may be held for ever (see docs/caveats.md).
/// The parent's fork lock is left as it is: this process has one of its own (sys::PerProcess).
[[noreturn]] void live(const LaunchPlan& plan, ChildBody& body, int pipe,
                       pid_t parent) noexcept {
  sys::set_title(plan.title);  // the plan is in a frame that we never return to
  identity = {::getpid(), parent, sys::watch_parent(pipe, parent)};
  // Ctrl-C goes to every process of the terminal; the parent decides what it means, and its end
  // is ours.
  ::signal(SIGINT, SIG_IGN);
  sys::drop_inherited_output();
  end_without_parents_handlers();
  int status = 0;
  try {
    body.run();
  } catch (...) {
    status = exit_software;  // the parent reports it as WorkerDied with this status
  }
  sys::flush_output();
  if (&__gcov_dump != nullptr) __gcov_dump();
  sys::exit_now(status);
}

}  // namespace

Child launch(const LaunchPlan& plan, ChildBody& body, const sys::ForkLock& held) {
  const int pipe = sys::parent_pipe(held);
  sys::prepare_title();
  sys::prepare_crash_reports(held);
  const pid_t parent = ::getpid();
  pid_t pid = 0;
  {
    const sys::WatchedFork watched;
    pid = sys::fork_process();
    if (pid == 0) live(plan, body, pipe, parent);
  }
  return adopt(pid, plan);
}

pid_t launch_sibling(const LaunchPlan& plan, ChildBody& body,
                     std::atomic<std::int32_t>& told) noexcept {
  const pid_t parent = this_child().parent;
  const sys::WatchedFork watched;
  const pid_t pid = sys::fork_sibling(told);
  if (pid == 0) live(plan, body, sys::no_pipe, parent);
  return pid;
}

Child adopt(pid_t pid, const LaunchPlan& plan) {
  Child child{pid, sys::open_pidfd(pid)};
  // Done from here, because here somebody can be told that the core does not exist.
  if (const int code = plan.cpu ? sys::pin(pid, *plan.cpu) : 0; code != 0) {
    child.kill();
    sys::throw_errno(code, "cannot pin the worker to core " + std::to_string(*plan.cpu),
                     "see taskset -p and the container's cpuset");
  }
  return child;
}

const ChildIdentity& this_child() noexcept {
  static constexpr ChildIdentity nobody{};
  return identity.self == ::getpid() ? identity : nobody;  // not that of a fork of the child
}

}  // namespace apalis::detail::process
