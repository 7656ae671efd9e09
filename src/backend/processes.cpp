// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <apalis/backend/processes.hpp>
#include <apalis/detail/actor/obituary.hpp>
#include <apalis/detail/actor/worker.hpp>
#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/error.hpp>
#include <cstring>
#include <new>

namespace apalis::detail::backend {
namespace {

using actor::Clock;
using actor::describe;
using actor::no_deadline;
using actor::Errand;
using actor::Worker;
using std::chrono::milliseconds;

constexpr milliseconds look_interval{5};  // at the worker's health, while waiting for it
constexpr std::uint32_t nothing_yet = ~std::uint32_t{0};

/// Positions count modulo 2^32.
bool is_at_or_after(std::uint32_t position, std::uint32_t other) noexcept {
  return static_cast<std::int32_t>(position - other) >= 0;
}

}  // namespace

Link* ProcessLink::open(const Options& options, Maker& maker) {
  auto held = sys::lock_forks();
  return new ProcessLink(options, maker, held);
}

ProcessLink::ProcessLink(const Options& options, Maker& maker, const sys::ForkLock& held)
    : Link(options),
      region_(channel::Region::of_this_process(held)),
      slice_(region_, held),
      view_(channel::SliceView::at(slice_.base())),
      sender_(view_.requests, !region_.backs_on_demand()),
      inbox_(view_.replies),
      child_bell_(view_.control->child_bell.asleep, view_.control->child_bell.epoch,
                  sys::every_bit, region_.heavy_barriers()),
      parent_bell_(view_.control->parent_bell.asleep, region_.header().parent.epoch,
                   std::uint32_t{1} << slice_.index() % 32, region_.heavy_barriers()),
      occupancy_(region_.occupancy()),
      worker_(view_.control->parent_core, view_.control->child_core) {
  view_.control->calls.considered.store(nothing_yet, std::memory_order_relaxed);
  view_.control->calls.begun.store(nothing_yet, std::memory_order_relaxed);
  view_.control->awake.counted.store(1, std::memory_order_relaxed);
  (void)sys::oom_watch();  // once per process: what it will compare with, should a worker die
  modules_ = sys::loaded_modules(held);
  code_ = modules_->find(reinterpret_cast<const void*>(maker.destroy));
  Worker worker{region_, slice_.index(), maker};
  child_ = process::launch({"apalis: " + options.name, options.cpu}, worker, held);
  pid_ = child_.pid();
  occupancy_.wake();  // a child is born awake, and has enough to do
}

/// The slice goes back only here: until then waiters may look at it without the lock.
ProcessLink::~ProcessLink() {
  if (!is_here()) slice_.forget();  // a fork dropped the last token; the slice is its parent's
}

// --- Calls ---------------------------------------------------------------------------------------

void ProcessLink::submit(const wire::Buffer& message, State& state) {
  Lock lock{mutex_};
  take_turn(lock, no_deadline);
  require_open();
  state.set_phase(State::Phase::pending);
  if (send(lock, Request::call, message, no_deadline)) [[likely]] {
    state.position = sender_.last_position();
    inbox_.pending.push(state);
    lock.unlock();
    child_bell_.ring();
    return;
  }
  state.store_error(death_);
  death_told_ = true;
  state.set_phase(State::Phase::settled);
  report(lock);
}

void ProcessLink::post(const wire::Buffer& message) {
  Lock lock{mutex_};
  take_turn(lock, no_deadline);
  require_open();
  // A post to a dead worker fails at the next drain(), which throws WorkerDied.
  if (send(lock, Request::post, message, no_deadline)) child_bell_.ring();
  report(lock);
}

void ProcessLink::poll() {
  Lock lock{mutex_};
  take_replies();
  // A program that polls in a loop never sleeps, and must learn of a death all the same.
  if (const auto now = Clock::now(); now - looked_ >= milliseconds{1}) {
    looked_ = now;
    check_worker();
  }
  report(lock);
}

bool ProcessLink::wait(State& state, Deadline deadline) {
  channel::Patience patience{occupancy_, !worker_.on_this_core() && inbox_.has_heard()};
  for (;;) {
    if (state.has_outcome()) return true;
    if (inbox_.has_message()) {
      // Whoever has the lock is taking replies in, or will unlock soon.
      if (Lock lock{mutex_, std::try_to_lock}; lock) {
        take_replies();
        const auto behind = inbox_.pending.size();
        report(lock);
        if (lock) lock.unlock();
        if (behind > 1 && !state.has_outcome()) occupancy_.breathe(2);
        continue;
      }
    }
    if (deadline != no_deadline && Clock::now() >= deadline) {
      poll();  // which looks at the worker's health, so that a loop of short waits ends too
      return state.has_outcome();
    }
    if (patience.pass()) continue;
    sleep_until_rung(deadline, [&] { return state.has_outcome() || inbox_.has_message(); });
    if (Lock lock{mutex_, std::try_to_lock}; lock) check_worker();
  }
}

bool ProcessLink::cancel(State& state) {
  Lock lock{mutex_};
  take_replies();
  if (state.phase() != State::Phase::pending || !sender_.mark(state.position)) return false;
  auto& cancels = view_.control->orders.cancels;
  cancels.store(cancels.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (region_.heavy_barriers()) {
    sys::heavy_barrier();  // partner: the light barrier of Worker::begin()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  const auto& calls = view_.control->calls;
  const auto patience_ends = Clock::now() + milliseconds{1};
  while (is_at_or_after(calls.considered.load(std::memory_order_relaxed), state.position)) {
    // The worker took it up before it could surely see the mark; a moment later it has decided,
    // unless it was stopped right there.
    if (is_at_or_after(calls.begun.load(std::memory_order_relaxed), state.position)) return false;
    take_replies();
    if (state.phase() != State::Phase::pending) break;
    if (check_worker() || Clock::now() >= patience_ends) return false;
    sys::yield_core();
  }
  if (state.phase() != State::Phase::pending) return state.was_cancelled();
  state.store_cancelled();
  state.set_phase(State::Phase::early);
  return true;
}

/// Calls that the worker has not taken up yet are settled at once; it will find the order.
void ProcessLink::cancel_queued() noexcept {
  view_.control->orders.discard.store(1, std::memory_order_relaxed);
  if (region_.heavy_barriers()) sys::heavy_barrier();  // partner: Worker::begin()
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto taken_up = view_.control->calls.considered.load(std::memory_order_relaxed);
  inbox_.pending.for_each([&](State& state) {
    if (state.phase() != State::Phase::pending || state.entry == nullptr ||
        is_at_or_after(taken_up, state.position))
      return;
    state.store_cancelled();
    state.set_phase(State::Phase::early);
  });
  wake_other_waiters();
}

void ProcessLink::abandon(State& state) noexcept {
  {
    const Lock lock{mutex_};
    if (state.phase() != State::Phase::settled) {
      state.abandoned = true;
      return;
    }
  }
  delete &state;  // outside the lock, which may be the last thing that keeps this link
}

// --- Sending -------------------------------------------------------------------------------------

void ProcessLink::require_open() const {
  if (condition_ == Condition::closing || (condition_ == Condition::ended && death_ == nullptr))
    throw Error(fmt::format("apalis: handler '{}' is closed: calls must come before close()",
                            options().name));
}

/// Messages go one after the other, though the lock is free while one waits for room.
void ProcessLink::take_turn(Lock& lock, Deadline deadline) {
  while (sending_) [[unlikely]] {
    if (deadline == no_deadline) {
      turn_.wait(lock);
    } else if (turn_.wait_until(lock, deadline) == std::cv_status::timeout) {
      throw TimedOut("apalis: another thread's message did not get through to the worker");
    }
  }
}

/// False if the worker has died, or the deadline passed.
bool ProcessLink::send(Lock& lock, Request request, const wire::Buffer& message,
                       Deadline deadline) {
  if (condition_ == Condition::ended) return false;
  const auto tag = static_cast<std::uint8_t>(request);
  const auto size = message.size();
  try {
    if (size <= channel::block_limit) {
      const auto try_send = [&] { return sender_.try_send(tag, message.data(), size); };
      return try_send() || send_slowly(lock, try_send, deadline);
    }
    sender_.back_all();
    std::size_t at = 0;
    return send_slowly(
        lock,
        [&] {
          const auto part = std::min<std::size_t>(size - at, channel::block_limit);
          if (!sender_.try_send_piece(tag, message.data() + at, part, size)) return false;
          at += part;
          child_bell_.ring();
          return at == size;
        },
        deadline);
  } catch (const channel::ProtocolViolation& violation) {
    bury(violation.what());
    return false;
  }
}

/// Calls try_send until it is done, waiting for room in between.
bool ProcessLink::send_slowly(Lock& lock, auto try_send, Deadline deadline) {
  struct Turn {
    ProcessLink& link;
    explicit Turn(ProcessLink& l) noexcept : link(l) { link.sending_ = true; }
    ~Turn() {
      link.sending_ = false;
      link.turn_.notify_all();
    }
  };
  const Turn turn{*this};
  channel::Patience patience{occupancy_};
  while (condition_ != Condition::ended) {
    if (try_send()) return true;
    if (!sender_.has_progress()) wait_for_room(lock, patience);
    if (deadline != no_deadline && Clock::now() >= deadline) return false;
  }
  return false;
}

void ProcessLink::wait_for_room(Lock& lock, channel::Patience& patience) {
  child_bell_.ring();  // for what was sent before
  if (inbox_.has_message()) {
    // The worker may be waiting for us to do this.
    take_replies();
    patience = channel::Patience{occupancy_};
    return;
  }
  lock.unlock();
  const bool sleep = !patience.pass();
  if (sleep)
    sleep_until_rung(no_deadline,
                     [this] { return inbox_.has_message() || sender_.has_progress(); });
  lock.lock();
  if (sleep) check_worker();
}

// --- Replies -------------------------------------------------------------------------------------

void ProcessLink::take_replies() noexcept {
  if (condition_ == Condition::ended) return;
  try {
    const auto taken = inbox_.take();
    if (taken.reported) child_bell_.ring();
    if (taken.any) wake_other_waiters();
  } catch (const channel::ProtocolViolation& violation) {
    bury(violation.what());
  } catch (const std::bad_alloc&) {
    bury("there was no memory for its reply");
  }
}

// --- The worker's end ----------------------------------------------------------------------------

bool ProcessLink::check_worker() noexcept {
  if (condition_ == Condition::ended) return true;
  if (!child_.has_ended()) return false;
  take_replies();  // what it sent before it ended counts
  bury({});
  return true;
}

void ProcessLink::bury(std::string hint) noexcept {
  if (condition_ == Condition::ended) return;
  const bool closed = condition_ == Condition::closing && inbox_.pending.empty();
  condition_ = Condition::ended;
  const bool by_us = !child_.has_ended();
  child_.kill();
  if (!closed) {
    try {
      death_ = obituary(std::move(hint), by_us);
    } catch (...) {
      death_ = std::current_exception();  // no memory for words; calls fail with bad_alloc
    }
  }
  fail_pending();
  if (view_.control->awake.counted.load(std::memory_order_relaxed) == 1) occupancy_.sleep();
  inbox_.forget_pieces();
  wake_other_waiters();
}

std::exception_ptr ProcessLink::obituary(std::string reason, bool killed_by_us) const {
  actor::Death death{.worker = options().name,
                     .pid = pid_,
                     .status = child_.status(),
                     .call = {},
                     .reason = std::move(reason),
                     .killed_by_us = killed_by_us,
                     .report = {},
                     .code = modules_.get(),
                     .oom = &sys::oom_watch()};
  const auto begun = view_.control->calls.begun.load(std::memory_order_relaxed);
  if (const State* first = inbox_.pending.front();
      first != nullptr && first->entry != nullptr && first->position == begun)
    death.call = first->entry->name;
  std::memcpy(&death.report, &view_.control->crash, sizeof death.report);
  view_.control->crash.state = 0;  // told once: a later worker on this slice may die without one
  return actor::obituary(std::move(death));
}

void ProcessLink::fail_pending() noexcept {
  while (State* state = inbox_.pending.pop()) {
    if (state->phase() == State::Phase::pending) {
      state->store_error(death_);
      death_told_ |= !state->abandoned;
    }
    finish(*state);
  }
}

bool ProcessLink::alive() {
  Lock lock{mutex_};
  check_worker();
  return condition_ == Condition::open;
}

void ProcessLink::kill() {
  Lock lock{mutex_};
  take_replies();
  death_told_ = true;
  bury("Handler::kill() was called");
}

// --- Draining and closing ------------------------------------------------------------------------

void ProcessLink::drain() {
  Errand errand;
  {
    Lock lock{mutex_};
    take_turn(lock, no_deadline);
    require_open();
    errand.set_phase(State::Phase::pending);
    if (!send(lock, Request::drain, wire::Buffer{}, no_deadline)) {
      death_told_ = true;
      std::rethrow_exception(death_);
    }
    inbox_.pending.push(errand);
  }
  child_bell_.ring();
  wait(errand, no_deadline);
  surface(errand.failures, errand.failed_posts());
}

/// Tells the hook what it does not know yet, then throws.
void ProcessLink::surface(PostFailures& failures, std::uint64_t count) const {
  if (failures.has_unreported()) call_hook(failures.report(pid_));
  if (const auto error = failures.take(count, pid_, options().name)) std::rethrow_exception(error);
}

void ProcessLink::close() { close_until(no_deadline); }

/// Throws TimedOut with the close message sent or not; the worker then still lives.
void ProcessLink::close_until(Deadline deadline) {
  Errand errand;
  {
    Lock lock{mutex_};
    take_turn(lock, deadline);
    if (condition_ == Condition::ended && death_ != nullptr && !std::exchange(death_told_, true))
      std::rethrow_exception(death_);
    if (condition_ != Condition::open) return;
    errand.set_phase(State::Phase::pending);
    condition_ = Condition::closing;
    if (!send(lock, Request::close, wire::Buffer{}, deadline)) {
      if (condition_ == Condition::ended) std::rethrow_exception(death_);
      throw TimedOut("the worker takes no messages");
    }
    inbox_.pending.push(errand);
  }
  child_bell_.ring();
  if (!wait(errand, deadline)) {
    Lock lock{mutex_};
    bury("it did not end within close_timeout");
    std::rethrow_exception(death_);
  }
  const auto count = errand.failed_posts();
  {
    Lock lock{mutex_};
    auto left = milliseconds{-1};
    if (deadline != no_deadline)
      left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds{0});
    child_.wait(left);  // it has said that it is done, so nothing but its exit is missing
    bury({});           // or is made up for
  }
  surface(errand.failures, count);
}

void ProcessLink::shut(bool discard) noexcept {
  try {
    {
      Lock lock{mutex_};
      if (condition_ != Condition::open) {
        if (condition_ == Condition::closing) bury("its handler was destroyed");
        const bool untold = death_ != nullptr && !std::exchange(death_told_, true);
        lock.unlock();
        if (untold) report_lost(death_);
        return;
      }
      if (discard) cancel_queued();
    }
    close_until(actor::deadline_after(options().close_timeout));
  } catch (...) {
    Lock lock{mutex_};
    bury("it did not end within close_timeout");
    lock.unlock();
    report_lost(std::current_exception());
  }
}

/// For the error hook, which may call anything but must not find a lock held.
void ProcessLink::report(Lock& lock) {
  if (!inbox_.failures.has_unreported() || !options().on_error) return;
  const auto error = inbox_.failures.report(pid_);
  lock.unlock();
  call_hook(error);
}

// --- Waiting -------------------------------------------------------------------------------------

void ProcessLink::sleep_until_rung(Deadline deadline, auto awake) noexcept {
  sleepers_.fetch_add(1);
  const auto ticket = parent_bell_.announce();
  if (!awake()) {
    std::chrono::nanoseconds limit = look_interval;
    if (deadline != no_deadline)
      limit = std::clamp<std::chrono::nanoseconds>(deadline - Clock::now(), {}, limit);
    parent_bell_.sleep(ticket, limit);
  }
  sleepers_.fetch_sub(1);
}

const channel::Doorbell* ProcessLink::begin_sleep() noexcept {
  sleepers_.fetch_add(1);
  return &parent_bell_;
}

void ProcessLink::end_sleep() noexcept { sleepers_.fetch_sub(1); }

void ProcessLink::wake_other_waiters() const noexcept {
  if (region_.heavy_barriers()) {
    sys::light_barrier();  // partner: announce() in sleep_until_rung()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  if (sleepers_.load(std::memory_order_relaxed) > 0) parent_bell_.wake();
}

}  // namespace apalis::detail::backend
