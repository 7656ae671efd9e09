// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/driver.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <utility>
#include <vector>

namespace apalis::detail::actor {
namespace {

class CoroutineDriver final : public LockedSource<Driver> {
 public:
  void follow(Source& source) override;
  void complete(State& state) noexcept override;
  void poll() override;
  bool drive(const Until& until, Deadline deadline) override;
  /// Never: a coroutine can't be ended from outside, only the calls that it waits for.
  bool cancel(State& /*state*/, Cancel /*how*/) override { return false; }
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override;
  [[nodiscard]] bool has_news() const noexcept override;
  [[nodiscard]] pid_t pid() const noexcept override { return ::getpid(); }

 private:
  ~CoroutineDriver() override {
    if (current_ != nullptr) current_->release();
  }
  void wake_waiters() noexcept override;
  [[nodiscard]] Source* current(std::uint64_t& version);  // retained; may be null
  static void let_go_of(Source* source) noexcept;

  std::condition_variable moved_on_;
  std::atomic<std::uint64_t> version_{0};
  Source* current_ = nullptr;
  std::vector<Source*> slept_on_;  // by begin_sleep(), retained
};

void CoroutineDriver::follow(Source& source) {
  Source* before = nullptr;
  {
    const Lock lock{mutex_};
    if (current_ == &source) return;
    source.retain();
    before = std::exchange(current_, &source);
    wake_waiters();
  }
  let_go_of(before);
}

/// Who waits for the coroutine may be asleep there.
void CoroutineDriver::let_go_of(Source* source) noexcept {
  if (source == nullptr) return;
  source->nudge();
  source->release();
}

void CoroutineDriver::complete(State& state) noexcept {
  Source* before = nullptr;
  {
    const Lock lock{mutex_};
    before = std::exchange(current_, nullptr);
  }
  retain();
  LockedSource::complete(state);  // which may be the last thing that kept this
  let_go_of(before);
  release();
}

Source* CoroutineDriver::current(std::uint64_t& version) {
  Lock lock{mutex_};
  run_due(lock);
  version = version_.load(std::memory_order_relaxed);
  if (current_ != nullptr) current_->retain();
  return current_;
}

void CoroutineDriver::poll() {
  std::uint64_t version = 0;
  if (Source* const source = current(version)) {
    source->poll();
    source->release();
  }
}

bool CoroutineDriver::drive(const Until& until, Deadline deadline) {
  if (until.state != nullptr && until.state->is_continued_here()) return true;
  for (;;) {
    std::uint64_t version = 0;
    Source* const source = current(version);
    if (until.reached()) {
      if (source != nullptr) source->release();
      return true;
    }
    if (source != nullptr) {
      (void)source->drive({nullptr, &version_, version, &until}, deadline);
      source->release();
    } else {
      // It waits for something that is not ours.
      Lock lock{mutex_};
      const auto moved_on = [&] {
        return version_.load(std::memory_order_relaxed) != version || until.reached();
      };
      if (deadline == no_deadline) {
        moved_on_.wait(lock, moved_on);
      } else {
        moved_on_.wait_until(lock, deadline, moved_on);
      }
    }
    if (deadline != no_deadline && Clock::now() >= deadline) return until.reached();
  }
}

void CoroutineDriver::begin_sleep(channel::Bells& bells) noexcept {
  std::uint64_t version = 0;
  Source* const source = current(version);
  if (source != nullptr) source->begin_sleep(bells);
  const Lock lock{mutex_};
  slept_on_.push_back(source);
}

void CoroutineDriver::end_sleep() noexcept {
  Source* source = nullptr;
  {
    const Lock lock{mutex_};
    source = slept_on_.back();
    slept_on_.pop_back();
  }
  if (source == nullptr) return;
  source->end_sleep();
  source->release();
}

bool CoroutineDriver::has_news() const noexcept {
  if (has_due()) return true;
  const Lock lock{mutex_};
  return current_ != nullptr && current_->has_news();
}

void CoroutineDriver::wake_waiters() noexcept {
  version_.fetch_add(1, std::memory_order_release);  // partner: Until::reached()
  moved_on_.notify_all();
}

}  // namespace

Driver* Driver::make() { return new CoroutineDriver; }

}  // namespace apalis::detail::actor
