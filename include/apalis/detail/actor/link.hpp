// SPDX-License-Identifier: BSL-1.0
#pragma once

// A link to whatever runs an object's calls in order. Everything above this line works the same
// whether that is a process, a thread or the caller itself.

#include <sys/types.h>

#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/options.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace apalis::detail::channel {
class Doorbell;
}

namespace apalis::detail::actor {

class State;

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
inline constexpr Deadline no_deadline = Deadline::max();

/// How often a thread that sleeps looks at the health of the worker it waits for. A look costs 5
/// µs, so that this takes 0.3 % of a core; and half of it passes before a death is noticed.
inline constexpr std::chrono::microseconds look_interval{1500};

/// From now on; no_deadline for what the clock can't express, such as hours::max().
template <class Rep, class Period>
Deadline deadline_after(std::chrono::duration<Rep, Period> limit) {
  const auto now = Clock::now();
  const auto seconds = std::chrono::duration<double>(limit);
  if (seconds >= std::chrono::duration<double>(no_deadline - now)) return no_deadline;
  if (seconds <= std::chrono::duration<double>::zero()) return now;
  return now + std::chrono::ceil<Clock::duration>(limit);
}

/// What it takes to make an object in a process that was not forked from the one that asks.
struct Recipe {
  void* (*make)(wire::Reader& arguments) = nullptr;
  wire::Buffer arguments;
};

/// Makes the object at the place where it will live, and can destroy it there.
class Maker {
 public:
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  /// Called once. May throw what the constructor throws.
  virtual void* make() = 0;

  /// The same as bytes; false if something in it can't be sent. Throws what encoding throws.
  [[nodiscard]] virtual bool write(Recipe& /*recipe*/) const { return false; }

  /// Ends the object's life. A destructor that throws ends the process, as everywhere.
  void (*destroy)(void* object) noexcept;

 protected:
  explicit Maker(void (*d)(void*) noexcept) noexcept : destroy(d) {}
  ~Maker() = default;
};

/// **Threads:** any, unless said otherwise.
/// **Fork:** works only in the process that made it; everything else must check is_here() first.
/// **Ordering:** one FIFO per submitting thread for submit() and post().
class Link {
 public:
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Sends a call and queues its state, which is settled in any case unless this throws.
  /// **Blocks** while buffers are full, taking replies in meanwhile.
  /// **Throws** Error once closed, SystemError where memory is short; the state is then unused.
  virtual void submit(const wire::Buffer& message, State& state) = 0;

  /// Sends a one-way call. **Blocks** and **throws** as submit() does.
  virtual void post(const wire::Buffer& message) = 0;

  /// Takes in the replies that are there, and now and then looks at the worker's health. Never
  /// blocks.
  virtual void poll() = 0;

  /// Waits until the state is settled; false if the deadline came first.
  virtual bool wait(State& state, Deadline deadline) = 0;

  /// Drops a call that has not begun; then it is settled as cancelled and true is returned. One
  /// that runs is asked to stop or, by force, ended with its worker (true again).
  enum class Cancel { ask, force };
  virtual bool cancel(State& state, Cancel how) = 0;

  /// A token lets go of its state, whatever its phase.
  virtual void abandon(State& state) noexcept = 0;

  /// Waits until everything accepted has ended; throws PostError, WorkerDied.
  virtual void drain() = 0;

  /// drain(), then the object's destructor, then the end of the worker. Calls after it throw.
  virtual void close() = 0;

  /// What a handler's destructor does: close() bounded by the option, then kill. With
  /// `discard`, queued calls are cancelled first. Reports errors by the hook.
  virtual void shut(bool discard) noexcept = 0;

  /// Ends the worker at once, for good. Throws Error where the backend can't.
  virtual void kill() = 0;

  /// Whether the worker can still run calls.
  [[nodiscard]] virtual bool alive() = 0;
  [[nodiscard]] virtual pid_t pid() const noexcept = 0;

  /// How often the worker was replaced.
  struct Counts {
    std::uint32_t restarts = 0;  // after it died
    std::uint32_t retired = 0;   // after max_calls_per_worker
  };
  [[nodiscard]] virtual Counts counts() = 0;

  /// For one thread that waits for calls on several links: the bell to sleep on; null if every call
  /// is settled already. To be ended by end_sleep().
  virtual const channel::Doorbell* begin_sleep() noexcept = 0;
  virtual void end_sleep() noexcept = 0;

  /// Throws Error if code at `address` was not mapped where the calls run (null: nothing to ask).
  void check_code(const void* address) const {
    if (address != nullptr && !code_.contains(address)) [[unlikely]]
      check_other_module(address);
  }

  /// Whether this is the process that made the link.
  [[nodiscard]] bool is_here() const noexcept { return stamp_ == sys::process_stamp(); }

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  void retain() noexcept { count(+1); }
  void release() noexcept {
    if (count(-1) == 0) delete this;
  }

 protected:
  explicit Link(Options options) : options_(std::move(options)) {}
  virtual ~Link();

  /// What a destructor can't throw: to the hook, or to stderr.
  void report_lost(const std::exception_ptr& error) const noexcept;

  /// The user's hook, if there is one. It promised not to throw; that it does ends the program,
  /// since we may be anywhere.
  void call_hook(const std::exception_ptr& error) const noexcept {
    if (options_.on_error) options_.on_error(error);
  }

  /// `code`: the executable's range, which nearly every call is in.
  sys::ModuleMap::Range code_{0, ~std::uintptr_t{0}};
  std::shared_ptr<const sys::ModuleMap> modules_;  // null: every module will do

 private:
  void check_other_module(const void* address) const;
  int count(int by) noexcept;

  Options options_;
  std::uint64_t stamp_ = sys::process_stamp();
  std::atomic<int> references_{1};
};

}  // namespace apalis::detail::actor
