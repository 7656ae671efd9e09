// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <algorithm>
#include <apalis/backend/threads.hpp>
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <optional>
#include <utility>

namespace apalis::detail::backend {
namespace {

using actor::Clock;
using actor::Errand;
using actor::Reply;

constexpr std::size_t most_queued = channel::lane_units;
constexpr std::size_t kept_capacity = std::size_t{1} << 20;  // of the result's buffer

constexpr auto no_limits =
    "apalis: the threads backend can't end a call that takes too long: use Backend::processes, or "
    "leave the timeout out";
constexpr auto no_kill =
    "apalis: the threads backend can't kill a worker, which is a thread of this very process: use "
    "Backend::processes, or close()";

channel::Region& region_of_this_process() {
  return channel::Region::of_this_process(sys::lock_forks());
}

}  // namespace

Link* ThreadLink::open(const Options& options, Maker& maker) {
  auto* const link = new ThreadLink(options, maker, region_of_this_process());
  try {
    link->start_thread();
  } catch (...) {
    link->release();
    throw;
  }
  try {
    Lock lock{link->mutex_};
    // What the object is made from is the caller's, so that has to wait.
    link->born_.wait(lock, [link] { return link->maker_ == nullptr; });
    if (link->pin_error_ != 0)
      sys::throw_errno(link->pin_error_,
                       "cannot pin the worker to core " + std::to_string(*options.cpu),
                       "see taskset -p and the container's cpuset");
    return link;
  } catch (...) {
    link->shut(true, actor::at_once);
    link->release();
    throw;
  }
}

ThreadLink::ThreadLink(const Options& options, Maker& maker, channel::Region& region)
    : LockedSource(options),
      worker_bell_(worker_asleep_, worker_epoch_, sys::every_bit, region.heavy_barriers()),
      parent_bell_(parent_asleep_, region.header().parent.epoch, sys::every_bit,
                   region.heavy_barriers(), region.event_fd()),
      occupancy_(region.occupancy()),
      placement_(region.header(), region.cores(), callers_core_, claim_),
      residence_(maker.of_many),
      destroy_(maker.destroy),
      maker_(&maker),
      launch_(find(options.backend)->launch) {
  if (options.timeout.count() > 0) throw Error(no_limits);
  current_.worker = maker.worker;
  current_.blocks_signals = launch_ == nullptr;
}

void ThreadLink::start_thread() {
  if (launch_ != nullptr) {
    lent_ = LentThread(*launch_, options().name, &ThreadLink::run_thread, this);
  } else {
    thread_ = sys::Thread(options().name, &ThreadLink::run_thread, this);
  }
}

ThreadLink::~ThreadLink() = default;

pid_t ThreadLink::pid() const noexcept { return ::getpid(); }

// --- The callers' side ---------------------------------------------------------------------------

void ThreadLink::require_open() const {
  if (!open_) refuse_closed();
}

/// With the lock, which is free while a full queue is waited for.
void ThreadLink::enqueue(Lock& lock, Request request, const wire::Buffer& message, State* state) {
  if (queue_.size() >= most_queued) {
    ++waiting_for_room_;
    worker_bell_.ring();
    room_.wait(lock, [this] { return queue_.size() < most_queued; });
    --waiting_for_room_;
  }
  Item& item = queue_.emplace_back(Item{request, {}, state, all_steps});
  try {
    item.message.append_all(message);
  } catch (...) {
    queue_.pop_back();
    throw;
  }
  queued_.store(queue_.size(), std::memory_order_release);  // partner: wait_for_item()
}

void ThreadLink::publish(const wire::Buffer& message, State& state) {
  Lock lock{mutex_};
  require_open();
  if (state.timeout.count() != 0) throw Error(no_limits);
  state.set_phase(State::Phase::pending);
  enqueue(lock, Request::call, message, &state);
  report(lock);
}

void ThreadLink::post(const wire::Buffer& message) {
  Lock lock{mutex_};
  require_open();
  enqueue(lock, Request::post, message, nullptr);
  report(lock);
  if (lock) lock.unlock();
  worker_bell_.ring();
}

void ThreadLink::poll() {
  Lock lock{mutex_};
  run_due(lock);
  report(lock);
}

bool ThreadLink::drive(const Until& until, Deadline deadline) {
  if (until.state != nullptr && until.state->is_continued_here()) return true;
  channel::Patience patience{occupancy_, !worker_.on_this_core()};
  for (;;) {
    if (has_due() || untold_failure_.load(std::memory_order_relaxed)) {
      poll();
      patience = channel::Patience{occupancy_};
    }
    if (until.reached()) return true;
    if (deadline != actor::no_deadline && Clock::now() >= deadline) return false;
    if (patience.pass()) continue;
    const auto ticket = parent_bell_.announce();
    if (until.reached() || has_due() || untold_failure_.load(std::memory_order_relaxed)) continue;
    std::optional<std::chrono::nanoseconds> limit;
    if (deadline != actor::no_deadline)
      limit = std::max<std::chrono::nanoseconds>(deadline - Clock::now(), {});
    parent_bell_.sleep(ticket, limit);
  }
}

bool ThreadLink::cancel(State& state, Cancel how) {
  Lock lock{mutex_};
  const auto at = std::ranges::find(queue_, &state, &Item::state);
  if (at != queue_.end()) {
    queue_.erase(at);
    queued_.store(queue_.size(), std::memory_order_relaxed);
    state.store_cancelled();
    actor::finish(state);
    room_.notify_one();
    wake_waiters();
    return true;
  }
  if (running_ != &state) return false;
  if (how == Cancel::if_not_begun) return false;
  if (how == Cancel::force) throw Error(no_kill);
  current_.stop.store(current_.order, std::memory_order_relaxed);
  return false;
}

bool ThreadLink::is_queued(const State& state) const noexcept {
  return std::ranges::find(queue_, &state, &Item::state) != queue_.end();
}

std::optional<std::uint32_t> ThreadLink::limit_steps(const State& state, std::uint32_t most) {
  {
    const Lock lock{mutex_};
    if (running_ != &state) {
      const auto at = std::ranges::find(queue_, &state, &Item::state);
      if (at == queue_.end()) return std::nullopt;
      at->most_steps = most;
      return 0;
    }
    const auto call = static_cast<std::uint32_t>(current_.order);
    current_.step_limit.store(actor::limit_word(call, most), std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);  // partner: Steps::begin()
  return steps_begun(state);
}

std::uint32_t ThreadLink::steps_begun(const State& state) const noexcept {
  const Lock lock{mutex_};
  if (running_ != &state) return is_queued(state) ? 0 : all_steps;
  const auto word = current_.steps.load(std::memory_order_acquire);  // partner: Steps::begin()
  const bool is_its = actor::call_of(word) == static_cast<std::uint32_t>(current_.order);
  return is_its ? actor::number_in(word) : 0;
}

void ThreadLink::drain() {
  Errand errand;
  {
    Lock lock{mutex_};
    require_open();
    errand.set_phase(State::Phase::pending);
    enqueue(lock, Request::drain, wire::Buffer{}, &errand);
  }
  worker_bell_.ring();
  wait(errand, actor::no_deadline);
  surface(errand.failures, errand.failed_posts());
}

void ThreadLink::close() { close_until(actor::no_deadline); }

void ThreadLink::begin_close(bool discard) noexcept {
  if (discard) discard_queued();
  try {
    Lock lock{mutex_};
    if (!open_ || queue_.size() >= most_queued) return;
    farewell_.set_phase(State::Phase::pending);
    enqueue(lock, Request::close, wire::Buffer{}, &farewell_);
    open_ = false;
    close_begun_ = true;
  } catch (...) {  // no memory: then close() or shut() will tell
  }
  worker_bell_.ring();
}

/// Calls still queued when `patience` ends are dropped; the one that runs is waited for.
void ThreadLink::close_until(Deadline patience) {
  {
    Lock lock{mutex_};
    if (!std::exchange(close_begun_, false)) {
      if (!open_) return;
      farewell_.set_phase(State::Phase::pending);
      enqueue(lock, Request::close, wire::Buffer{}, &farewell_);
      open_ = false;
    }
  }
  worker_bell_.ring();
  if (!wait(farewell_, patience)) {
    discard_queued();
    wait(farewell_, actor::no_deadline);
  }
  thread_.join();
  lent_.join();
  {
    Lock lock{mutex_};
    run_due(lock);
  }
  if (options().on_worker_exit)
    options().on_worker_exit(
        {.name = options().name, .pid = pid(), .known = true, .expected = true, .error = nullptr});
  surface(farewell_.failures, farewell_.failed_posts());
}

void ThreadLink::shut(bool discard, Deadline deadline) noexcept {
  try {
    if (discard) discard_queued();
    close_until(deadline);
  } catch (...) {
    report_lost(std::current_exception());
  }
}

void ThreadLink::kill() { throw Error(no_kill); }

bool ThreadLink::alive() {
  const Lock lock{mutex_};
  return open_;
}

void ThreadLink::discard_queued() noexcept {
  const Lock lock{mutex_};
  std::erase_if(queue_, [](const Item& item) {
    if (item.request != Request::call && item.request != Request::post) return false;
    if (item.state != nullptr) {
      item.state->store_cancelled();
      actor::finish(*item.state);
    }
    return true;
  });
  queued_.store(queue_.size(), std::memory_order_relaxed);
  room_.notify_all();
  wake_waiters();
}

/// For the hook, which may call anything but must not find a lock held. Unlocks if there is
/// something to tell.
void ThreadLink::report(Lock& lock) noexcept {
  if (!failures_.has_unreported() || !options().on_error) return;
  untold_failure_.store(false, std::memory_order_relaxed);
  const auto error = failures_.report(pid());
  lock.unlock();
  call_hook(error);
}

void ThreadLink::begin_sleep(channel::Bells& bells) noexcept { bells.add(parent_bell_); }

void ThreadLink::begin_event(Deadline& /*next_look*/) noexcept { parent_bell_.mark_event(); }

// --- The thread's side ---------------------------------------------------------------------------

void ThreadLink::run_thread(void* link) { static_cast<ThreadLink*>(link)->live(); }

void ThreadLink::live() {
  auto* const outer_call = std::exchange(actor::thread_call, &current_);
  const auto before = options().cpu && launch_ != nullptr ? sys::affinity() : sys::Affinity{};
  if (options().cpu) pin_error_ = sys::pin(0, *options().cpu);
  occupancy_.wake();
  make_object();
  while (serve(next_item())) {
  }
  occupancy_.sleep();
  placement_.leave();
  sys::set_affinity(before);
  actor::thread_call = outer_call;
}

void ThreadLink::make_object() {
  construction_error_ = residence_.move_in_here(
      *maker_, {preparation(options().backend), &options().on_worker_start});
  const Lock lock{mutex_};
  maker_ = nullptr;
  born_.notify_all();
}

ThreadLink::Item ThreadLink::next_item() {
  for (;;) {
    if (queued_.load(std::memory_order_acquire) != 0) {
      const Lock lock{mutex_};
      if (!queue_.empty()) {
        Item item = std::move(queue_.front());
        queue_.pop_front();
        queued_.store(queue_.size(), std::memory_order_relaxed);
        running_ = item.state;
        ++current_.order;
        const auto call = static_cast<std::uint32_t>(current_.order);
        current_.step_limit.store(
            item.most_steps != all_steps ? actor::limit_word(call, item.most_steps) : 0,
            std::memory_order_relaxed);
        if (waiting_for_room_ > 0) room_.notify_one();
        return item;
      }
    }
    wait_for_item();
  }
}

void ThreadLink::wait_for_item() noexcept {
  const int core = sys::current_core();
  const bool shared = caller_.is_on(core);
  if (waits_++ % channel::waits_between_looks == 0) placement_.note(core, shared);
  channel::Patience patience{occupancy_, !shared};
  while (queued_.load(std::memory_order_acquire) == 0) {
    if (patience.pass()) continue;
    occupancy_.sleep();
    placement_.leave();
    const auto ticket = worker_bell_.announce();
    if (queued_.load(std::memory_order_acquire) == 0) worker_bell_.sleep(ticket, std::nullopt);
    occupancy_.wake();
    return;
  }
}

bool ThreadLink::serve(Item item) {
  switch (item.request) {
    case Request::call:
      run_call(item);
      return true;
    case Request::post:
      run_post(item);
      return true;
    case Request::drain:
      answer_errand(*item.state);
      return true;
    case Request::close:
      if (void* const object = residence_.vacate()) destroy_(object);
      answer_errand(*item.state);
      return false;
  }
  return true;
}

void ThreadLink::run_call(const Item& item) {
  if (construction_error_ != nullptr) {
    {
      const Lock lock{mutex_};
      running_ = nullptr;
      item.state->store_error(construction_error_);
      actor::finish(*item.state);
    }
    wake_waiters();
    return;
  }
  const bool returned = residence_.run(item.message.bytes(), result_);
  settle_running(*item.state, returned ? Reply::value : Reply::exception);
  result_.shrink(kept_capacity);
}

void ThreadLink::settle_running(State& state, Reply kind) {
  {
    const Lock lock{mutex_};
    running_ = nullptr;
    try {
      actor::keep_reply(state, kind, result_);
    } catch (...) {
      state.store_error(std::current_exception());  // no memory
    }
    actor::finish(state);
  }
  wake_waiters();
}

void ThreadLink::run_post(const Item& item) {
  if (actor::run_here(residence_, construction_error_, item.message.bytes(), result_)) return;
  {
    const Lock lock{mutex_};
    ++failed_posts_;
    failures_.note(result_.bytes());
    if (options().on_error && failures_.has_unreported())
      untold_failure_.store(true, std::memory_order_relaxed);
  }
  wake_waiters();
}

void ThreadLink::answer_errand(State& state) {
  result_.clear();
  {
    const Lock lock{mutex_};
    result_.append(&failed_posts_, sizeof failed_posts_);
    failed_posts_ = 0;
    static_cast<Errand&>(state).failures = std::exchange(failures_, PostFailures{});
  }
  settle_running(state, Reply::value);
}

}  // namespace apalis::detail::backend
