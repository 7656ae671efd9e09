// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is known of one-way calls that failed since the last drain.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace apalis::detail::actor {

/// **Threads:** one at a time.
class PostFailures {
 public:
  /// The encoded exception of a failed post. Only the first since the last take() is kept.
  void note(std::span<const std::byte> bytes);

  /// A post that failed because its worker died. It counts itself, for no worker will.
  void note_lost(const std::exception_ptr& error);
  /// A worker has left its count with its last message.
  void take_over(std::uint64_t count) noexcept {
    lost_ += count;
    told_ = false;
  }
  /// A worker has died. If it had told a failure, it takes its count with it: it was one at least.
  void forget_worker() noexcept {
    if (std::exchange(told_, false)) ++lost_;
  }

  /// The first failure, once: for the error hook.
  [[nodiscard]] bool has_unreported() const noexcept { return unreported_; }
  [[nodiscard]] std::exception_ptr report(pid_t worker);

  /// Everything since the last take(), as the PostError to throw; null if there was no failure.
  /// `count`: as the worker that is alive tells it.
  [[nodiscard]] std::exception_ptr take(std::uint64_t count, pid_t worker, std::string_view name);

 private:
  [[nodiscard]] std::exception_ptr first(pid_t worker);

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
  std::exception_ptr decoded_;
  std::uint64_t lost_ = 0;  // failures that no living worker counts
  bool told_ = false;       // by the worker of now
  bool unreported_ = false;
};

/// what() of any exception.
[[nodiscard]] std::string describe(const std::exception_ptr& error);

/// What a destructor can't throw: to the user's hook or, without one, to stderr.
void report_lost(const std::function<void(std::exception_ptr)>& hook,
                 const std::exception_ptr& error) noexcept;

}  // namespace apalis::detail::actor
