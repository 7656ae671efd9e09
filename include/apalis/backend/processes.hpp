// SPDX-License-Identifier: BSL-1.0
#pragma once

// The link to a worker process: what Backend::processes is made of.

#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/process/child.hpp>
#include <condition_variable>
#include <mutex>

namespace apalis::detail::backend {

using actor::Deadline;
using actor::Link;
using actor::Maker;
using actor::State;
using actor::Request;
using actor::PostFailures;

/// **Owns** a slice of the region, the child, and the queue of calls whose replies are due.
/// **Threads:** any. One mutex guards everything; nobody holds it while waiting, be it for a reply,
/// for room, or for another thread's message to be sent.
/// **Blocks:** submit() and post() while buffers are full; they take replies in meanwhile, so that
/// neither side can wait for the other for ever.
/// **Peer death:** a waiter looks every 5 ms; without one, the next touch does. Every pending call
/// is then settled with WorkerDied.
/// **Peer:** replies are copied out before anything looks at them; a child that breaks the
/// protocol is killed.
class ProcessLink final : public Link {
 public:
  /// Forks the worker, which makes its object by `maker`. Throws SystemError.
  [[nodiscard]] static Link* open(const Options& options, Maker& maker);

  void submit(const wire::Buffer& message, State& state) override;
  void post(const wire::Buffer& message) override;
  void poll() override;
  bool wait(State& state, Deadline deadline) override;
  bool cancel(State& state) override;
  void abandon(State& state) noexcept override;
  void drain() override;
  void close() override;
  void shut(bool discard) noexcept override;
  void kill() override;
  bool alive() override;
  pid_t pid() const noexcept override { return pid_; }
  const channel::Doorbell* begin_sleep() noexcept override;
  void end_sleep() noexcept override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  enum class Condition {
    open,
    closing,  // the close message is sent
    ended,    // the worker is gone
  };

  ProcessLink(const Options& options, Maker& maker, const sys::ForkLock& held);
  ~ProcessLink() override;

  // With the lock held; those that take it release it while they wait.
  void take_turn(Lock& lock, Deadline deadline);
  [[nodiscard]] bool send(Lock& lock, Request request, const wire::Buffer& message,
                          Deadline deadline);
  [[nodiscard]] bool send_slowly(Lock& lock, auto try_send, Deadline deadline);
  void wait_for_room(Lock& lock, channel::Patience& patience);
  void require_open() const;
  void take_replies() noexcept;
  void cancel_queued() noexcept;
  bool check_worker() noexcept;
  void bury(std::string hint) noexcept;
  [[nodiscard]] std::exception_ptr obituary(std::string reason, bool killed_by_us) const;
  void fail_pending() noexcept;

  void close_until(Deadline deadline);
  void report(Lock& lock);
  void surface(PostFailures& failures, std::uint64_t count) const;
  void sleep_until_rung(Deadline deadline, auto awake) noexcept;
  void wake_other_waiters() const noexcept;

  std::mutex mutex_;
  std::condition_variable turn_;
  bool sending_ = false;  // a thread is in mid-message, waiting for room without the lock
  Condition condition_ = Condition::open;
  std::exception_ptr death_;  // why calls fail, once ended other than by close()
  bool death_told_ = false;   // some caller has seen it, or asked for it by kill()
  channel::Region& region_;
  channel::Slice slice_;
  channel::SliceView view_;
  channel::Sender sender_;
  actor::Inbox inbox_;
  channel::Doorbell child_bell_;
  channel::Doorbell parent_bell_;
  channel::Occupancy occupancy_;
  channel::Neighbour worker_;
  process::Child child_;
  pid_t pid_ = 0;
  std::atomic<int> sleepers_{0};
  actor::Clock::time_point looked_;  // at the worker's health, by poll()
};

}  // namespace apalis::detail::backend
