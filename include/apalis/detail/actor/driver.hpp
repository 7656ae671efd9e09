// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a started coroutine's token waits with: whatever the coroutine itself waits for at the
// moment.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <vector>

namespace apalis::detail::actor {

/// **Owns** a reference to the source that the coroutine waits for.
/// **Threads:** any: the coroutine moves between threads that drive its sources.
class Driver final : public Source {
 public:
  /// The coroutine is about to wait for something of this source.
  void follow(Source& source);

  /// The coroutine has ended.
  void complete(State& state) noexcept override;

  void poll() override;
  bool drive(const Until& until, Deadline deadline) override;
  /// Never: a coroutine can't be ended from outside, only the calls that it waits for.
  bool cancel(State& /*state*/, Cancel /*how*/) override { return false; }
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override;
  [[nodiscard]] bool has_news() const noexcept override;
  [[nodiscard]] pid_t pid() const noexcept override;

 private:
  ~Driver() override;
  void wake_waiters() noexcept override;
  [[nodiscard]] Source* current(std::uint64_t& version);  // retained; may be null

  std::condition_variable moved_on_;
  std::atomic<std::uint64_t> version_{0};
  Source* current_ = nullptr;
  std::vector<Source*> slept_on_;  // by begin_sleep(), retained
};

}  // namespace apalis::detail::actor
