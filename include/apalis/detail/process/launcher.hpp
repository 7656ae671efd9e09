// SPDX-License-Identifier: BSL-1.0
#pragma once

// Makes a child: the fork, and the steps that every child takes before and after its work.

#include <apalis/detail/process/child.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <optional>
#include <string>

namespace apalis::detail::process {

/// What a child does between its birth and its end. It never returns into the parent's frames.
class ChildBody {
 public:
  ChildBody(const ChildBody&) = delete;
  ChildBody& operator=(const ChildBody&) = delete;

  /// In the child. Whatever it throws ends the process with exit status 70 (EX_SOFTWARE).
  virtual void run() = 0;

 protected:
  ChildBody() = default;
  ~ChildBody() = default;
};

struct LaunchPlan {
  std::string title;       ///< for ps and top
  std::optional<int> cpu;  ///< pins the child there
};

/// What a running child knows of its own birth.
struct ChildIdentity {
  pid_t self = 0;
  pid_t parent = 0;
  bool parent_watched = false;  ///< whether the kernel ends this process with its parent
};

/// Forks a child that runs `body` on a copy of the caller's stack, then flushes its own output and
/// ends without running the parent's atexit handlers. Throws SystemError, having made nothing.
[[nodiscard]] Child launch(const LaunchPlan& plan, ChildBody& body, const sys::ForkLock& held);

/// In a child of launch() that runs nothing but this library's code: makes a sibling, a child of
/// its own parent, to run `body`. Returns its pid, or -errno; see sys::fork_sibling() for `told`.
/// **Fork:** no fork handlers run.
[[nodiscard]] pid_t launch_sibling(const LaunchPlan& plan, ChildBody& body,
                                   std::atomic<std::int32_t>& told) noexcept;

/// Completes a launch_sibling() in the parent: the child that it made, pinned as planned. Throws
/// SystemError, the child having ended.
[[nodiscard]] Child adopt(pid_t pid, const LaunchPlan& plan);

/// In a child of launch(): its identity. In any other process: a zero parent.
[[nodiscard]] const ChildIdentity& this_child() noexcept;

}  // namespace apalis::detail::process
