// SPDX-License-Identifier: BSL-1.0
#pragma once

// The link to a worker thread of this process: what Backend::threads is made of. Arguments and
// results are encoded all the same, so that a program behaves alike.

#include <apalis/backend/lent_thread.hpp>
#include <apalis/backend/registry.hpp>
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/actor/thread_call.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/channel/placement.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/sys/thread.hpp>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>

namespace apalis::detail::backend {

using actor::Deadline;
using actor::Link;
using actor::Maker;
using actor::PostFailures;
using actor::Request;
using actor::State;
using actor::Until;

/// **Owns** the thread, or has it lent by what the backend's launch hands workers to; it owns the
/// object.
/// **Threads:** any. One mutex guards everything but the object; the thread holds it neither while
/// a call runs nor while it waits.
/// **Fork:** the thread stays with the process that made it.
/// **Blocks:** submit() and post() while a lane's length of calls is queued.
class ThreadLink final : public actor::LockedSource<Link> {
 public:
  [[nodiscard]] static Link* open(const Options& options, Maker& maker);

  void publish(const wire::Buffer& message, State& state) override;
  void wake_worker() noexcept override { worker_bell_.ring(); }
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
  pid_t pid() const noexcept override;
  Counts counts() override { return {}; }
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override {}
  void begin_event(Deadline& next_look) noexcept override;

 private:
  struct Item {
    Request request = Request::call;
    wire::Buffer message;
    State* state = nullptr;  // null for a post
    std::uint32_t most_steps = all_steps;
  };

  ThreadLink(const Options& options, Maker& maker, channel::Region& region);
  ~ThreadLink() override;

  void enqueue(Lock& lock, Request request, const wire::Buffer& message, State* state);
  void require_open() const;
  void discard_queued() noexcept;
  void close_until(Deadline patience);
  [[nodiscard]] bool is_queued(const State& state) const noexcept;
  void report(Lock& lock) noexcept;
  void wake_waiters() noexcept override { parent_bell_.ring(); }
  void note_awaited() override { join_agenda(); }

  void start_thread();

  // The thread's.
  void live();
  static void run_thread(void* link);
  void make_object();
  [[nodiscard]] bool serve(Item item);
  [[nodiscard]] Item next_item();
  void wait_for_item() noexcept;
  void settle_running(State& state, actor::Reply kind);
  void run_call(const Item& item);
  void run_post(const Item& item);
  void answer_errand(State& state);

  std::atomic<std::uint32_t> worker_asleep_{0};
  std::atomic<std::uint32_t> worker_epoch_{0};
  std::atomic<std::uint32_t> parent_asleep_{0};
  channel::Doorbell worker_bell_;
  channel::Doorbell parent_bell_;
  channel::Occupancy occupancy_;
  channel::CoreHint callers_core_{};
  channel::CoreHint workers_core_{};
  channel::Neighbour worker_{callers_core_, workers_core_};  // as a caller sees it
  channel::Neighbour caller_{workers_core_, callers_core_};  // as the worker does
  std::atomic<std::uint32_t> claim_{0};
  channel::Placement placement_;
  std::uint32_t waits_ = 0;

  std::deque<Item> queue_;
  std::atomic<std::size_t> queued_{0};  // its size, for those without the lock
  std::condition_variable room_;
  std::size_t waiting_for_room_ = 0;
  State* running_ = nullptr;
  bool open_ = true;
  bool close_begun_ = false;  // by begin_close(): nobody has waited for its end yet
  actor::Errand farewell_;    // of close()
  std::uint64_t failed_posts_ = 0;
  PostFailures failures_;
  std::atomic<bool> untold_failure_{false};  // to the hook, if there is one

  actor::ThreadCall current_;
  actor::Residence residence_;
  void (*destroy_)(void*) noexcept;
  std::exception_ptr construction_error_;
  wire::Buffer result_;
  Maker* maker_ = nullptr;  // until the object is made
  int pin_error_ = 0;
  std::condition_variable born_;
  const Launch* launch_ = nullptr;  // of what finds a thread; null for one of our own
  sys::Thread thread_;
  LentThread lent_;  // or this one
};

}  // namespace apalis::detail::backend
