// SPDX-License-Identifier: BSL-1.0
#if __has_include(<sys/single_threaded.h>)
#  include <sys/single_threaded.h>  // glibc 2.32
#endif

#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/actor/state.hpp>
#include <utility>

namespace apalis::detail::actor {
namespace {

/// The states whose continuations this thread runs now, innermost first.
struct Running {
  const State* state;
  const Running* outer;
};
constinit thread_local const Running* running = nullptr;
constinit thread_local std::size_t continuations_so_far = 0;

/// Oldest first.
Continuation* reversed(Continuation* last) noexcept {
  Continuation* first = nullptr;
  while (last != nullptr) first = std::exchange(last, std::exchange(last->next, first));
  return first;
}

void run_continuations(State& state, Continuation* attached_last_first) noexcept {
  const Running now{&state, running};
  running = &now;
  for (auto* next = reversed(attached_last_first); next != nullptr;) {
    continuations_so_far += next->is_users ? 1 : 0;
    std::exchange(next, next->next)->run(state);
  }
  running = now.outer;
}

}  // namespace

void run_at_once(State& state, Continuation& continuation) noexcept {
  const Running now{&state, running};
  running = &now;
  continuation.run(state);
  running = now.outer;
  if (state.abandoned && !state.is_continued_here()) delete &state;
}

std::size_t continuations_run() noexcept { return continuations_so_far; }

Source::~Source() = default;

int Source::count(int by) noexcept {
#if __has_include(<sys/single_threaded.h>)
  // Twice a call, so worth it: no locked instruction in a process with one thread.
  if (__libc_single_threaded != 0) {
    const int now = references_.load(std::memory_order_relaxed) + by;
    references_.store(now, std::memory_order_relaxed);
    return now;
  }
#endif
  return references_.fetch_add(by, std::memory_order_acq_rel) + by;
}

bool Source::try_retain() noexcept {
  int now = references_.load(std::memory_order_relaxed);
  while (now > 0)
    if (references_.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) return true;
  return false;
}

void DueStates::push(State& state) noexcept {
  if (state.phase() == State::Phase::pending) state.set_phase(State::Phase::answered);
  state.next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = &state;
  last_ = &state;
  some_.store(true, std::memory_order_relaxed);
}

void DueStates::run(Lock& lock) noexcept {
  while (State* state = first_) {
    first_ = state->next;
    if (first_ == nullptr) some_.store(false, std::memory_order_relaxed);
    auto* const continuations = std::exchange(state->continuations, nullptr);
    lock.unlock();
    run_continuations(*state, continuations);
    lock.lock();
    if (state->continuations != nullptr) {  // one of them attached another
      push(*state);
    } else if (state->abandoned) {
      lock.unlock();
      delete state;
      lock.lock();
    } else {
      state->set_phase(State::Phase::settled);
    }
  }
}

bool State::is_continued_here() const noexcept {
  for (const Running* now = running; now != nullptr; now = now->outer)
    if (now->state == this) return true;
  return false;
}

}  // namespace apalis::detail::actor
