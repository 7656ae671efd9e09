// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where outcomes come from: a link to one worker, a group of links, a coroutine. What a token waits
// with, and what runs what was asked to run after it.

#include <sys/types.h>

#include <apalis/detail/sys/process_stamp.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace apalis::detail::channel {
class Bells;
}

namespace apalis::detail::actor {

class State;

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
inline constexpr Deadline no_deadline = Deadline::max();
inline constexpr Deadline at_once = Deadline::min();

/// How often a thread that sleeps looks at the health of the worker it waits for. A look costs 5
/// µs, so that this takes 0.3 % of a core; and half of it passes before a death is noticed.
inline constexpr std::chrono::microseconds look_interval{1500};

/// From now on; no_deadline for what the clock can't express, such as hours::max().
template <class Rep, class Period>
Deadline deadline_after(std::chrono::duration<Rep, Period> limit) {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(limit).count();
  if (seconds >= std::chrono::duration<double>(no_deadline - now).count()) return no_deadline;
  if (seconds <= 0) return now;
  return now + std::chrono::ceil<Clock::duration>(limit);
}

/// What shall run once a state has its outcome: then(), co_await, as_completed().
class Continuation {
 public:
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;

  /// Once, with no lock held; `state` has its outcome and lives until this returns. May end the
  /// continuation's own life.
  virtual void run(State& state) noexcept = 0;

  Continuation* next = nullptr;  // the source's, under its lock
  const bool is_users;           // not just a step towards one: poll() counts it

 protected:
  explicit Continuation(bool users = true) noexcept : is_users(users) {}
  ~Continuation() = default;
};

/// When a wait is over: the state has its outcome, or `version` moved on, or a wait around this one
/// is over.
struct Until {
  const State* state = nullptr;
  const std::atomic<std::uint64_t>* version = nullptr;
  std::uint64_t seen = 0;
  const Until* outer = nullptr;

  [[nodiscard]] inline bool reached() const noexcept;
};

/// **Owns** itself by counted references; states hold one.
/// **Threads:** any.
/// **Fork:** works only in the process that made it; everything else must check is_here() first.
/// **Ordering:** continuations of one source's states run in the order of their outcomes.
class Source {
 public:
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Takes in the outcomes that are there, looks after what they come from now and then, and runs
  /// the continuations that are due. Never blocks.
  virtual void poll() = 0;

  /// poll() and sleep, until reached; false if the deadline came first.
  virtual bool drive(const Until& until, Deadline deadline) = 0;

  /// Waits until the state has an outcome; false if the deadline came first.
  virtual bool wait(State& state, Deadline deadline) { return drive({&state}, deadline); }

  /// Drops a call that has not begun; then it is settled as cancelled and true is returned. One
  /// that runs is left alone, asked to stop or, by force, ended with its worker (true again).
  enum class Cancel { if_not_begun, ask, force };
  virtual bool cancel(State& state, Cancel how) = 0;

  /// A token lets go of its state, whatever its phase.
  virtual void abandon(State& state) noexcept = 0;

  /// Has `continuation` run by whoever is inside poll(), drive() or wait() once the state has its
  /// outcome. False if it has one by now: then nothing was done.
  virtual bool attach(State& state, Continuation& continuation) = 0;

  /// Takes it back before it ran. It must not be about to run on another thread.
  virtual void detach(State& state, Continuation& continuation) noexcept = 0;

  /// Has the threads in drive() look again at what they wait for.
  virtual void nudge() noexcept = 0;

  /// For one thread that waits for several sources: adds the bells to sleep on. To be ended by
  /// end_sleep().
  virtual void begin_sleep(channel::Bells& bells) noexcept = 0;
  virtual void end_sleep() noexcept = 0;

  /// For an event loop that waits for several sources: from now on an outcome makes the region's
  /// event readable. To be followed by the bell's order(), then by a look: has_news(). `next_look`
  /// becomes earlier where poll() has something to do by then.
  virtual void begin_event(Deadline& /*next_look*/) noexcept {}
  [[nodiscard]] virtual bool has_news() const noexcept = 0;
  /// The process whose end poll() will have to learn of; 0 if there is none, or none any more.
  [[nodiscard]] virtual pid_t watched() noexcept { return 0; }

  [[nodiscard]] virtual pid_t pid() const noexcept = 0;

  /// Whether the worker has ended by itself: see Maker::idle_limit. What it was sent and had not
  /// begun fails with a WorkerDied that names no call, and can be sent to another one.
  [[nodiscard]] virtual bool has_left() const noexcept { return false; }

  /// A state that no reply settles has its outcome: it was computed.
  virtual void settle(State& state) noexcept = 0;

  /// The same, and runs its continuations at once: whoever drives what it was made of is here, and
  /// perhaps nobody drives this.
  virtual void complete(State& state) noexcept = 0;

  /// Of a computed state: whether its computation may begin now; not if it was cancelled. From then
  /// on it can't be.
  [[nodiscard]] virtual bool begin_computing(State& state) noexcept = 0;
  /// Drops a computation that has not begun.
  [[nodiscard]] virtual bool cancel_computed(State& state) noexcept = 0;

  /// A state with continuations has its outcome. With the lock held.
  virtual void hold(State& state) noexcept = 0;

  /// Whether this is the process that made it.
  [[nodiscard]] bool is_here() const noexcept { return stamp_ == sys::process_stamp(); }

  void retain() noexcept { count(+1); }
  void release() noexcept {
    if (count(-1) == 0) delete this;
  }
  /// retain(), but false once the last reference is gone.
  [[nodiscard]] bool try_retain() noexcept;

 protected:
  Source() noexcept = default;
  virtual ~Source();

 private:
  int count(int by) noexcept;

  std::uint64_t stamp_ = sys::process_stamp();
  std::atomic<int> references_{1};
};

/// How many of the user's continuations this thread has run so far.
[[nodiscard]] std::size_t continuations_run() noexcept;

/// Runs one for a settled state, whose token may be dropped by it: the state then ends behind it.
void run_at_once(State& state, Continuation& continuation) noexcept;

}  // namespace apalis::detail::actor
