// SPDX-License-Identifier: BSL-1.0
#pragma once

// A child process and how it ends.

#include <apalis/detail/sys/process.hpp>
#include <chrono>
#include <optional>

namespace apalis::detail::process {

/// **Owns** one child process: whoever drops it must have seen it end (has_ended(), finish()).
/// **Threads:** one at a time.
/// **Fork:** belongs to the process that forked it.
class Child {
 public:
  Child() noexcept = default;
  Child(pid_t pid, sys::Fd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// Whether it has ended; if so, it is reaped. Never blocks.
  bool has_ended() noexcept {
    if (!status_) {
      status_ = sys::try_reap(pid_, pidfd_);
      if (status_) pidfd_.reset();
    }
    return status_.has_value();
  }

  /// How it ended; only after has_ended().
  [[nodiscard]] const sys::ExitStatus& status() const { return status_.value(); }

  /// Waits for its end up to `limit` (negative: without limit). True if it has ended.
  bool wait(std::chrono::milliseconds limit) noexcept {
    if (has_ended()) return true;
    sys::wait_for_end(pid_, pidfd_, limit);
    return has_ended();
  }

  void signal(int number) noexcept {
    if (!has_ended()) sys::send_signal(pid_, pidfd_, number);
  }

  /// SIGKILL, then waits: a process in an uninterruptible sleep ends when the kernel lets it.
  void kill() noexcept;

 private:
  pid_t pid_ = 0;
  sys::Fd pidfd_;
  std::optional<sys::ExitStatus> status_;
};

}  // namespace apalis::detail::process
