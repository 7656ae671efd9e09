// SPDX-License-Identifier: BSL-1.0
#pragma once

// A link to whatever runs an object's calls in order. Everything above this line works the same
// whether that is a process, a thread or the caller itself.

#include <sys/types.h>

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/options.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace apalis::detail::actor {

/// What it takes to make an object in a process that was not forked from the one that asks.
struct Recipe {
  void* (*make)(wire::Reader& arguments) = nullptr;
  wire::Buffer arguments;
};

class PostFailures;

/// Makes the object at the place where it will live, and can destroy it there.
class Maker {
 public:
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  /// Called once. May throw what the constructor throws.
  virtual void* make() = 0;

  /// The same as bytes; false if something in it can't be sent. Throws what encoding throws.
  [[nodiscard]] virtual bool write(Recipe& /*recipe*/) const { return false; }

  /// What was lost if its worker dies, of several objects: "objects 0, 2, 4 and 47 more".
  [[nodiscard]] virtual std::string contents() const { return {}; }

  /// Ends the object's life. A destructor that throws ends the process, as everywhere.
  void (*destroy)(void* object) noexcept;

  /// What is made is a wire::Objects, and every message ends with the index of the one it is for.
  bool of_many = false;
  std::uint32_t worker = 0;  ///< which one of a group's
  /// What it makes objects of may refer to blocks.
  bool may_have_blocks = true;
  /// And other workers will be made of that.
  bool keeps_for_others = false;

  /// A worker process that had nothing to do for that long ends by itself, and none takes its place:
  /// see Source::has_left(). Zero: never. Not with Options::restart or max_calls_per_worker.
  std::chrono::milliseconds idle_limit{0};
  /// What it runs on its object before that, if anything: a post without arguments.
  const wire::Entry* last_words = nullptr;

 protected:
  explicit Maker(void (*d)(void*) noexcept) noexcept : destroy(d) {}
  ~Maker() = default;
};

/// **Threads:** any, unless said otherwise.
/// **Fork:** works only in the process that made it; everything else must check is_here() first.
/// **Ordering:** one FIFO per submitting thread for submit() and post().
class Link : public Source {
 public:
  /// Sends a call and queues its state, which is settled in any case unless this throws.
  /// **Blocks** while buffers are full, taking replies in meanwhile.
  /// **Throws** Error once closed, SystemError where memory is short; the state is then unused.
  void submit(const wire::Buffer& message, State& state) {
    publish(message, state);
    wake_worker();
  }

  /// The same, but a worker that sleeps goes on sleeping until wake_worker(): what goes to several
  /// is published to all of them before the first is woken.
  virtual void publish(const wire::Buffer& message, State& state) = 0;
  virtual void wake_worker() noexcept = 0;

  /// Whether the worker waited last on the core that this thread runs on: a hint.
  [[nodiscard]] virtual bool is_on_this_core() const noexcept = 0;

  /// Sends a one-way call. **Blocks** and **throws** as submit() does.
  virtual void post(const wire::Buffer& message) = 0;

  static constexpr std::uint32_t all_steps = ~std::uint32_t{0};
  /// Of a call under way that consists of Steps: from now on it begins no more than `most`. Returns
  /// how many it may have begun by now, all_steps if it is over: it will begin none beyond both
  /// numbers. Nothing if it can't be limited, now or ever.
  [[nodiscard]] virtual std::optional<std::uint32_t> limit_steps(const State& /*state*/,
                                                                 std::uint32_t /*most*/) {
    return std::nullopt;
  }
  /// How many it had begun a moment ago, or before its worker died; all_steps if it is over, or
  /// nothing is known.
  [[nodiscard]] virtual std::uint32_t steps_begun(const State& /*state*/) const noexcept {
    return all_steps;
  }

  /// Waits until everything accepted has ended; throws PostError, WorkerDied.
  virtual void drain() = 0;

  /// drain(), then the object's destructor, then the end of the worker. Calls after it throw.
  virtual void close() = 0;

  /// The first half of close() or shut(), where it needs no waiting: several workers end side by
  /// side when each is told before the first is waited for.
  virtual void begin_close(bool discard) noexcept = 0;

  /// What a handler's destructor does: close(), but kill() at the deadline. With `discard`, queued
  /// calls are cancelled first. Reports errors by the hook.
  virtual void shut(bool discard, Deadline deadline) noexcept = 0;

  /// Ends the worker at once, for good. Throws Error where the backend can't.
  virtual void kill() = 0;

  /// Whether the worker can still run calls.
  [[nodiscard]] virtual bool alive() = 0;

  /// Whether the worker is about to end by itself, or has: by its own account, which costs no more
  /// than sending it something. It takes up nothing any more.
  [[nodiscard]] virtual bool leaves() const noexcept { return false; }

  /// How often the worker was replaced.
  struct Counts {
    std::uint32_t restarts = 0;  // after it died
    std::uint32_t retired = 0;   // after max_calls_per_worker
  };
  [[nodiscard]] virtual Counts counts() = 0;

  /// Throws Error if code at `address` was not mapped where the calls run (null: nothing to ask).
  void check_code(const void* address) const {
    if (address != nullptr && !code_.contains(address)) [[unlikely]]
      check_other_module(address);
  }

  /// Whether publish() and post() send attachments, which then need to live only until they return.
  [[nodiscard]] bool takes_attachments() const noexcept { return takes_attachments_; }

  [[nodiscard]] const Options& options() const noexcept { return options_; }

 protected:
  explicit Link(Options options) : options_(std::move(options)) {}
  ~Link() override;

  /// A continuation waits for a call of this link: the process's event loop shall know.
  void join_agenda();

  /// What a destructor can't throw: to the hook, or to stderr.
  void report_lost(const std::exception_ptr& error) const noexcept;

  /// Throws what a call after close() gets.
  [[noreturn]] void refuse_closed() const;

  /// Tells the hook of failed posts that it does not know yet, then throws the PostError.
  void surface(PostFailures& failures, std::uint64_t count) const;

  /// The user's hook, if there is one. It promised not to throw; that it does ends the program,
  /// since we may be anywhere.
  void call_hook(const std::exception_ptr& error) const noexcept {
    if (options_.on_error) options_.on_error(error);
  }

  /// `code`: the executable's range, which nearly every call is in.
  sys::ModuleMap::Range code_{0, ~std::uintptr_t{0}};
  std::shared_ptr<const sys::ModuleMap> modules_;  // null: every module will do
  bool takes_attachments_ = false;

 private:
  void check_other_module(const void* address) const;

  Options options_;
  bool listed_ = false;
};

}  // namespace apalis::detail::actor
