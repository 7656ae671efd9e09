// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/driver.hpp>
#include <apalis/detail/actor/state.hpp>
#include <utility>

namespace apalis::detail::actor {

Driver::~Driver() {
  if (current_ != nullptr) current_->release();
}

void Driver::follow(Source& source) {
  Source* before = nullptr;
  {
    const Lock lock{mutex_};
    if (current_ == &source) return;
    source.retain();
    before = std::exchange(current_, &source);
    wake_waiters();
  }
  if (before != nullptr) before->release();
}

void Driver::complete(State& state) noexcept {
  Source* before = nullptr;
  {
    const Lock lock{mutex_};
    before = std::exchange(current_, nullptr);
  }
  if (before != nullptr) before->release();
  Source::complete(state);
}

Source* Driver::current(std::uint64_t& version) {
  Lock lock{mutex_};
  run_due(lock);
  version = version_.load(std::memory_order_relaxed);
  if (current_ != nullptr) current_->retain();
  return current_;
}

void Driver::poll() {
  std::uint64_t version = 0;
  if (Source* const source = current(version)) {
    source->poll();
    source->release();
  }
}

bool Driver::drive(const Until& until, Deadline deadline) {
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

void Driver::begin_sleep(channel::Bells& bells) noexcept {
  std::uint64_t version = 0;
  Source* const source = current(version);
  if (source != nullptr) source->begin_sleep(bells);
  const Lock lock{mutex_};
  slept_on_.push_back(source);
}

void Driver::end_sleep() noexcept {
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

bool Driver::has_news() const noexcept {
  if (has_due()) return true;
  const Lock lock{mutex_};
  return current_ != nullptr && current_->has_news();
}

void Driver::wake_waiters() noexcept {
  version_.fetch_add(1, std::memory_order_release);  // partner: Until::reached()
  moved_on_.notify_all();
}

pid_t Driver::pid() const noexcept { return ::getpid(); }

}  // namespace apalis::detail::actor
