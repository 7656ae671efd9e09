// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the sources have in common: a lock, and the states whose continuations are due.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/actor/state.hpp>
#include <atomic>
#include <mutex>
#include <utility>

namespace apalis::detail::actor {

/// States with continuations to be run, in the order of their outcomes.
///
/// **Owns** nothing: a chain through the states themselves.
/// **Threads:** under the source's lock, but is_empty_hint() from any.
class DueStates {
 public:
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] bool is_empty_hint() const noexcept {
    return !some_.load(std::memory_order_relaxed);
  }
  void push(State& state) noexcept;
  /// Runs all of them, without the lock meanwhile.
  void run(Lock& lock) noexcept;

 private:
  State* first_ = nullptr;
  State* last_ = nullptr;
  std::atomic<bool> some_{false};
};

/// Base, a Source or Link, with the part of its functions that is about states alone.
template <class Base>
class LockedSource : public Base {
 public:
  void abandon(State& state) noexcept override {
    // Of its own continuation: whoever runs that holds no lock, and looks afterwards.
    if (state.is_continued_here()) {
      state.abandoned = true;
      return;
    }
    {
      const Lock lock{mutex_};
      if (state.phase() != State::Phase::settled) {
        state.abandoned = true;
        return;
      }
    }
    delete &state;  // outside the lock, which may be the last thing that keeps this source
  }

  bool attach(State& state, Continuation& continuation) override {
    const Lock lock{mutex_};
    if (state.has_outcome()) return false;
    note_awaited();
    continuation.next = std::exchange(state.continuations, &continuation);
    return true;
  }

  void settle(State& state) noexcept override {
    this->retain();  // the state may be the last one that keeps this
    bool dead = false;
    {
      const Lock lock{mutex_};
      dead = finish_kept(state);
      wake_waiters();
    }
    if (dead) delete &state;  // without the lock, for its value may be anything
    this->release();
  }

  void complete(State& state) noexcept override {
    this->retain();
    bool dead = false;
    {
      Lock lock{mutex_};
      dead = finish_kept(state);
      wake_waiters();
      run_due(lock);
    }
    if (dead) delete &state;
    this->release();
  }

  bool begin_computing(State& state) noexcept override {
    const Lock lock{mutex_};
    if (state.has_outcome()) return false;
    state.begun_before = true;
    return true;
  }

  bool cancel_computed(State& state) noexcept override {
    const Lock lock{mutex_};
    if (state.has_outcome() || state.begun_before) return false;
    state.store_cancelled();
    state.set_phase(State::Phase::early);
    wake_waiters();
    return true;
  }

  void hold(State& state) noexcept override { due_.push(state); }

  void detach(State& state, Continuation& continuation) noexcept override {
    const Lock lock{mutex_};
    for (Continuation** at = &state.continuations; *at != nullptr; at = &(*at)->next)
      if (*at == &continuation) {
        *at = continuation.next;
        return;
      }
  }

  void nudge() noexcept override {
    const Lock lock{mutex_};
    wake_waiters();
  }

  [[nodiscard]] bool has_news() const noexcept override { return has_due(); }

 protected:
  using Lock = DueStates::Lock;
  using Base::Base;

  /// Wakes the threads in drive(): something that they wait for may have happened.
  virtual void wake_waiters() noexcept = 0;

  /// A continuation waits for a state of this source. With the lock held.
  virtual void note_awaited() {}

  /// Whether continuations are due. Any thread may ask; only one with the lock knows.
  [[nodiscard]] bool has_due() const noexcept { return !due_.is_empty_hint(); }

  /// Runs those that are due, without the lock meanwhile. True if there were any.
  bool run_due(Lock& lock) noexcept {
    if (due_.empty()) [[likely]]
      return false;
    due_.run(lock);
    wake_waiters();
    return true;
  }

  mutable std::mutex mutex_;

 private:
  DueStates due_;
};

}  // namespace apalis::detail::actor
