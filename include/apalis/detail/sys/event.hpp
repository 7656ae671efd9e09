// SPDX-License-Identifier: BSL-1.0
#pragma once

// Descriptors that event loops wait for.

#include <sys/types.h>

#include <apalis/detail/sys/fd.hpp>
#include <chrono>

namespace apalis::detail::sys {

/// An event that processes related by fork share: not readable until signalled. Throws SystemError.
[[nodiscard]] Fd make_event();

/// Makes it readable. Async-signal-safe.
void signal_event(int event) noexcept;
/// Makes it unreadable again.
void clear_event(int event) noexcept;

/// A descriptor that is readable while any of several is.
///
/// **Owns** an epoll instance and a timer. **Threads:** one at a time.
class EventSet {
 public:
  /// With `event` in it. Throws SystemError.
  explicit EventSet(int event);

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

  /// Adds the end of a process; it leaves the set with the descriptor returned. Empty if it has
  /// ended, or if the kernel has no pidfds.
  [[nodiscard]] Fd add_process(pid_t pid);
  void remove(Fd& process) noexcept;

  /// Makes it readable after `delay`; negative: not.
  void set_timer(std::chrono::nanoseconds delay) noexcept;

 private:
  void add(int fd);

  Fd epoll_;
  Fd timer_;
};

}  // namespace apalis::detail::sys
