// SPDX-License-Identifier: BSL-1.0
#pragma once

// The link to a worker process: what Backend::processes is made of.

#include <apalis/backend/worker_source.hpp>
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/journal.hpp>
#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/process/child.hpp>
#include <condition_variable>
#include <memory>
#include <vector>

namespace apalis::detail::backend {

using actor::Deadline;
using actor::Errand;
using actor::Link;
using actor::Maker;
using actor::PostFailures;
using actor::Request;
using actor::State;
using actor::Until;

/// **Owns** a slice of the region, the child, and the queue of calls whose replies are due.
/// **Threads:** any. One mutex guards everything; nobody holds it while waiting, be it for a reply,
/// for room, or for another thread's message to be sent. (Making a new worker, once one has died,
/// is done under it.)
/// **Blocks:** submit() and post() while buffers are full; they take replies in meanwhile, so that
/// neither side can wait for the other for ever.
/// **Peer death:** a waiter looks every 1.5 ms; without one, the next touch does. The call in
/// progress fails with WorkerDied. What had not begun goes to the next worker, if the options want
/// one; otherwise it fails too.
/// **Peer:** replies are copied out before anything looks at them; a child that breaks the
/// protocol is killed.
class ProcessLink final : public actor::LockedSource<Link> {
 public:
  /// Who forks the worker.
  enum class Origin {
    any,   // the fork server, if there is one and it can
    here,  // this process
  };
  /// Makes the worker, which makes its object by `maker`. Throws SystemError; Error as WorkerSource
  /// does.
  [[nodiscard]] static ProcessLink* open(const Options& options, Maker& maker,
                                         Origin origin = Origin::any);

  void publish(const wire::Buffer& message, State& state) override;
  void wake_worker() noexcept override { child_bell_.ring(); }
  bool is_on_this_core() const noexcept override { return worker_.is_here(); }
  void post(const wire::Buffer& message) override;
  void poll() override;
  bool drive(const Until& until, Deadline deadline) override;
  bool cancel(State& state, Cancel how) override;
  std::optional<std::uint32_t> limit_steps(const State& state, std::uint32_t most) override;
  std::uint32_t steps_begun(const State& state) const noexcept override;
  void drain() override;
  void close() override;
  void begin_close(bool discard) noexcept override;
  void shut(bool discard, Deadline deadline) noexcept override;
  void kill() override;
  bool alive() override;
  pid_t pid() const noexcept override { return pid_.load(std::memory_order_relaxed); }
  Counts counts() override;
  bool leaves() const noexcept override {
    return may_leave_ && view_.control->child_bell.leaves.load(std::memory_order_relaxed) != 0;
  }
  bool has_left() const noexcept override { return left_; }
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override { sleepers_.fetch_sub(1); }
  void begin_event(Deadline& next_look) noexcept override;
  pid_t watched() noexcept override;
  bool has_news() const noexcept override { return has_due() || inbox_.has_message(); }

  /// Where a nursery's worker says what it made last; see WorkerSource.
  [[nodiscard]] std::atomic<std::int32_t>& spawned() noexcept { return view_.control->spawned.pid; }

 private:
  enum class Life {
    running,  // there is a worker
    down,     // it has died, and another one is due at next_start_
    ended,    // there will be none
  };
  /// Why a worker is given up.
  enum class Cause {
    died,       // by itself, or by breaking the protocol
    overdue,    // a call ran longer than it may
    cancelled,  // by force, the call in progress
    retired,    // after max_calls_per_worker, or after Maker::idle_limit
    dismissed,  // by kill(), or as it did not close in time
  };

  ProcessLink(const Options& options, Maker& maker, ServerOrder order, const sys::ForkLock& held);
  ~ProcessLink() override;

  // --- Sending, with the lock held; those that take it release it while they wait.
  void take_turn(Lock& lock, Deadline deadline);
  [[nodiscard]] bool accept(Lock& lock, Request request, const wire::Buffer& message, State* state,
                            Deadline deadline);
  [[nodiscard]] bool accept_in_journal(Lock& lock, Request request, const wire::Buffer& message,
                                       State* state, Deadline deadline);
  void note_sent(State* state) noexcept;
  [[nodiscard]] bool send(Lock& lock, Request request, const wire::Buffer& message,
                          Deadline deadline);
  [[nodiscard]] bool accept_in_pieces(Lock& lock, Request request, const wire::Buffer& message,
                                      State* state, Deadline deadline);
  [[nodiscard]] bool send_slowly(Lock& lock, auto try_send, Deadline deadline);
  void wait_for_room(Lock& lock, channel::Patience& patience);
  void send_journal() noexcept;
  void require_open() const {
    if (closing_ || life_ == Life::ended) [[unlikely]]
      require_death();
  }
  void require_death() const;

  // --- Receiving, with the lock held.
  void take_replies() noexcept;
  void cancel_queued() noexcept;
  [[nodiscard]] bool drop(State& state);
  [[nodiscard]] bool take_back(State& state) noexcept;
  void announce_cancel() noexcept;
  void note_order(std::uint32_t position) noexcept;
  void withdraw_orders() noexcept;
  [[nodiscard]] bool is_answered(std::uint32_t position) const noexcept;
  [[nodiscard]] bool is_sent(const State& state) const noexcept;
  /// Which of the link's workers this is.
  [[nodiscard]] std::uint32_t generation() const noexcept {
    return counts_.restarts + counts_.retired;
  }

  // --- The worker's end and its replacement, with the lock held: supervision.cpp.
  void begin_control() noexcept;
  void welcome(process::Child child) noexcept;
  void forget_presence() noexcept;
  bool look_after_worker() noexcept;
  void keep_time() noexcept;
  void look_at_clock() noexcept;
  void look_at_leaver() noexcept;
  void answer_farewell() noexcept;
  [[nodiscard]] Deadline next_overdue() const noexcept;
  void bury(Cause cause, std::string reason) noexcept;
  void set_death(std::string reason, bool killed_by_us) noexcept;
  void take_last_replies() noexcept;
  [[nodiscard]] State* state_in_progress() const noexcept;
  [[nodiscard]] std::exception_ptr obituary(std::string reason, bool killed_by_us) const;
  void fail_in_progress(Cause cause, State& state) noexcept;
  [[nodiscard]] bool end_by_force(State& state);
  void dismiss(const char* why) noexcept;
  void end(std::exception_ptr why) noexcept;
  void fail_pending() noexcept;
  [[nodiscard]] bool may_replace(Cause cause) const noexcept;
  [[nodiscard]] bool salvage(Cause cause) noexcept;
  void drop_cancelled() noexcept;
  void schedule(Cause cause) noexcept;
  void replace() noexcept;
  void note_exit(Cause cause, bool replaced) noexcept;
  void tell(const WorkerExit& exit) const noexcept;

  void close_until(Deadline deadline);
  [[nodiscard]] bool has_reports() const noexcept {
    return inbox_.failures.has_unreported() || !exits_.empty();
  }
  void report(Lock& lock) {
    if (has_reports()) [[unlikely]]
      tell_reports(lock);
  }
  void tell_reports(Lock& lock);
  void sleep_until_rung(Deadline deadline, auto awake) noexcept;
  void wake_waiters() noexcept override;
  void note_awaited() override { join_agenda(); }

  std::uint32_t ordered_ = 0;  // position of the last call that orders were given for
  bool has_orders_ = false;    // which are still to be read
  std::condition_variable turn_;
  bool sending_ = false;  // a thread is in mid-message, waiting for room without the lock
  Life life_ = Life::running;
  bool closing_ = false;         // no more calls: the close message is on its way
  bool close_begun_ = false;     // by begin_close(): nobody has waited for its end yet
  Errand farewell_;              // of close()
  bool close_accepted_ = false;  // so that a worker without pending calls has ended as it was told
  std::exception_ptr death_;  // of the last worker: why calls fail, once ended, but by close()
  bool death_told_ = false;   // some caller has seen it, or asked for it by kill()
  channel::Region& region_;
  channel::Slice slice_;
  channel::SliceView view_;
  channel::BlockLedger ledger_;  // ends before the slice does
  channel::Sender sender_;
  actor::Inbox inbox_;
  std::unique_ptr<actor::Journal> journal_;  // null where no worker follows another
  channel::Doorbell child_bell_;
  channel::Doorbell parent_bell_;
  channel::Occupancy occupancy_;
  channel::Neighbour worker_;
  WorkerSource source_;
  process::Child child_;
  std::atomic<pid_t> pid_{0};
  std::atomic<int> sleepers_{0};
  actor::Clock::time_point looked_;  // at the worker's health, by poll()

  bool timed_ = false;                                 // some call has a time limit
  std::atomic<Deadline> overdue_{actor::no_deadline};  // when the call in progress will be
  const State* victim_ = nullptr;                      // the call that the worker is ended for
  std::chrono::nanoseconds limit_{0};                  // that the last overdue call had passed
  Deadline waiting_since_ = actor::no_deadline;        // for the object to be made
  const bool may_leave_;                               // by itself, by Maker::idle_limit
  std::atomic<bool> left_{false};                      // and has
  Deadline leaves_until_ = actor::no_deadline;         // the time that it has for that
  actor::Clock::time_point started_;                   // the worker
  actor::Clock::time_point next_start_;                // of a worker, while down
  std::chrono::milliseconds backoff_{0};               // before the next replacement
  int spawn_failures_ = 0;                             // in a row
  Counts counts_;
  std::string contents_;                               // of the worker, if several objects
  std::vector<WorkerExit> exits_;  // not yet told to the hook
};

}  // namespace apalis::detail::backend
