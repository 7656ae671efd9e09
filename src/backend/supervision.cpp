// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/processes.hpp>
#include <apalis/detail/actor/obituary.hpp>
#include <apalis/detail/channel/placement.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/sys/oom.hpp>
#include <apalis/error.hpp>
#include <cstring>

// The part of ProcessLink that sees workers end and makes new ones. All of it runs with the lock
// held.

namespace apalis::detail::backend {
namespace {

using actor::Clock;
using actor::no_deadline;
using channel::nothing_yet;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::chrono::seconds farewell{1};  // a worker that has retired needs microseconds
constexpr int most_spawn_failures = 5;       // in a row, with a pause between them

template <class Duration>
std::string in_words(Duration limit) {
  return fmt::format("{:g} ms", std::chrono::duration<double, std::milli>(limit).count());
}

}  // namespace

void ProcessLink::begin_control() noexcept {
  auto& calls = view_.control->calls;
  calls.considered.store(nothing_yet, std::memory_order_relaxed);
  calls.begun.store(nothing_yet, std::memory_order_relaxed);
  calls.finished.store(nothing_yet, std::memory_order_relaxed);
  calls.made.store(0, std::memory_order_relaxed);
  calls.steps.store(0, std::memory_order_relaxed);
  view_.control->orders.stop.store(0, std::memory_order_relaxed);
  view_.control->orders.steps.store(0, std::memory_order_relaxed);
  has_orders_ = false;
  view_.control->child_bell.asleep.store(0, std::memory_order_relaxed);
  view_.control->child_bell.leaves.store(0, std::memory_order_relaxed);
}

void ProcessLink::welcome(process::Child child) noexcept {
  child_ = std::move(child);
  pid_.store(child_.pid(), std::memory_order_relaxed);
  ledger_.welcome(child_.pid());
  life_ = Life::running;
  view_.control->awake.counted.store(1, std::memory_order_relaxed);
  occupancy_.wake();  // a child is born awake, and has enough to do
  started_ = Clock::now();
  waiting_since_ = no_deadline;
  victim_ = nullptr;
}

/// A worker that is gone is neither awake nor anywhere.
void ProcessLink::forget_presence() noexcept {
  if (view_.control->awake.counted.load(std::memory_order_relaxed) == 1) occupancy_.sleep();
  channel::forget_claim(region_.header(), view_.control->awake.core);
}

/// Notices a death, a time limit passed, a replacement due. True if there will be no worker any
/// more.
bool ProcessLink::look_after_worker() noexcept {
  if (life_ == Life::running) {
    if (child_.has_ended()) {
      const auto worker = generation();
      take_replies();  // what it sent before it ended counts, and may have been that it retires
      if (generation() == worker) bury(Cause::died, {});
    } else {
      if (may_leave_) look_at_leaver();
      if (timed_) look_at_clock();
    }
  }
  if (life_ == Life::down && Clock::now() >= next_start_) replace();
  send_journal();
  return life_ == Life::ended;
}

// --- Time limits ---------------------------------------------------------------------------------

/// From now on the worker says when each call begins.
void ProcessLink::keep_time() noexcept {
  timed_ = true;
  view_.control->orders.timed.store(1, std::memory_order_relaxed);
}

void ProcessLink::look_at_clock() noexcept {
  take_replies();
  if (life_ != Life::running) return;
  const auto& calls = view_.control->calls;
  const auto begun = calls.begun.load(std::memory_order_acquire);  // partner: Worker::begin()
  const State* front = inbox_.pending.front();
  auto since = Clock::time_point{};
  auto limit = options().timeout;
  if (begun == nothing_yet) {
    // The object is being made; that counts from when somebody first waits for it.
    if (waiting_since_ == no_deadline && front != nullptr) waiting_since_ = Clock::now();
    since = waiting_since_;
    if (front == nullptr) limit = {};
  } else if (calls.finished.load(std::memory_order_relaxed) == begun) {
    limit = {};
  } else {
    since = Clock::time_point{nanoseconds{calls.begun_at.load(std::memory_order_relaxed)}};
    if (const State* running = state_in_progress(); running != nullptr) {
      if (running->entry == nullptr) limit = {};
      if (running->timeout.count() != 0) limit = running->timeout;
    }
  }
  auto due = no_deadline;
  if (limit.count() > 0 && since < no_deadline - limit) due = since + limit;
  overdue_.store(due, std::memory_order_relaxed);
  if (Clock::now() < due) return;
  overdue_.store(no_deadline, std::memory_order_relaxed);
  limit_ = limit;
  victim_ = state_in_progress();
  bury(Cause::overdue, "its call ran longer than its timeout of " + in_words(limit));
}

/// When a call may first have run too long, as far as is known.
Deadline ProcessLink::next_overdue() const noexcept {
  const auto known = overdue_.load(std::memory_order_relaxed);
  const State* front = inbox_.pending.front();
  if (known != no_deadline || !timed_ || front == nullptr || front->entry == nullptr) return known;
  // It had not begun when the clock was last looked at; it may have begun by now.
  const auto limit = front->timeout.count() != 0 ? front->timeout : options().timeout;
  return limit.count() > 0 ? actor::deadline_after(limit) : no_deadline;
}

// --- The end of a worker -------------------------------------------------------------------------

/// A worker that ends by itself has close_timeout for its last words.
void ProcessLink::look_at_leaver() noexcept {
  if (!leaves()) return;
  take_replies();
  if (life_ != Life::running) return;
  if (leaves_until_ == no_deadline) leaves_until_ = actor::deadline_after(options().close_timeout);
  if (Clock::now() >= leaves_until_)
    bury(Cause::died, "it had nothing to do, and did not end within close_timeout");
}

/// The worker's object is gone, before the worker was told.
void ProcessLink::answer_farewell() noexcept {
  const std::byte none[State::inline_bytes]{};
  inbox_.pending.remove(farewell_);
  farewell_.failures = std::exchange(inbox_.failures, PostFailures{});
  farewell_.store_small(actor::Reply::value, none, sizeof(std::uint64_t));
  farewell_.set_phase(State::Phase::settled);  // it is no token's, and nothing continues it
}

void ProcessLink::bury(Cause cause, std::string reason) noexcept {
  if (life_ != Life::running) return;
  reach(Point::parent_mourning);
  if (cause == Cause::retired) child_.wait(farewell);
  const bool by_us = !child_.has_ended();
  child_.kill();
  // After a message of no known form nothing tells where the next one begins, or whose reply it is.
  const bool is_trusted = cause != Cause::died || reason.empty();
  if (is_trusted) take_last_replies();
  if (cause == Cause::retired && state_in_progress() != nullptr) {
    cause = Cause::died;
    reason = "it had said that it retires, and was in a call";
  }
  const bool leaves = cause == Cause::retired && journal_ == nullptr;
  if (leaves && close_accepted_) answer_farewell();
  const bool closed = close_accepted_ && inbox_.pending.empty();
  ledger_.end(closed || cause == Cause::retired);
  life_ = Life::down;
  forget_presence();
  if (closed || cause == Cause::retired) {
    death_ = nullptr;
  } else {
    set_death(std::move(reason), by_us);
  }
  if (closed) {
    note_exit(cause, false);
    return end(nullptr);
  }
  const bool replaced = may_replace(cause) && salvage(cause);
  note_exit(cause, replaced);
  if (!replaced) {
    if (State* running = state_in_progress(); running != nullptr && cause != Cause::died)
      fail_in_progress(cause, *running);
    if (leaves) {
      // What it had not begun is to be sent elsewhere; this is what it comes back with.
      set_death("it had nothing to do for long, and ended", by_us);
      death_told_ = true;
      left_ = true;
    } else if (cause == Cause::retired && !inbox_.pending.empty() && death_ == nullptr) {
      set_death("it had run max_calls_per_worker calls", by_us);
    }
    return end(death_);
  }
  reach(Point::parent_salvaged);
  wake_waiters();
  schedule(cause);
}

/// What a worker that is gone had sent before it went.
void ProcessLink::take_last_replies() noexcept {
  try {
    (void)inbox_.take();
  } catch (...) {  // it had broken the protocol, or memory is short: its replies end here
  }
}

/// The pending call that the worker had begun; null if it was between calls, or in a post.
State* ProcessLink::state_in_progress() const noexcept {
  const auto begun = view_.control->calls.begun.load(std::memory_order_relaxed);
  State* front = inbox_.pending.front();
  const bool can_run = front != nullptr && begun != nothing_yet && is_sent(*front);
  return can_run && front->position == begun ? front : nullptr;
}

void ProcessLink::set_death(std::string reason, bool killed_by_us) noexcept {
  try {
    death_ = obituary(std::move(reason), killed_by_us);
  } catch (...) {
    death_ = std::current_exception();  // no memory for words; calls fail with bad_alloc
  }
}

std::exception_ptr ProcessLink::obituary(std::string reason, bool killed_by_us) const {
  actor::Death death{.worker = options().name,
                     .pid = pid(),
                     .status = child_.status(),
                     .contents = contents_,
                     .call = {},
                     .reason = std::move(reason),
                     .killed_by_us = killed_by_us,
                     .report = {},
                     .code = modules_.get(),
                     .oom = &sys::oom_watch()};
  if (const State* running = state_in_progress(); running != nullptr && running->entry != nullptr)
    death.call = running->entry->name;
  std::memcpy(&death.report, &view_.control->crash, sizeof death.report);
  view_.control->crash.state = 0;  // told once: a later worker on this slice may die without one
  return actor::obituary(std::move(death));
}

/// The call that its worker was ended for fails as that says. Another one may have begun by then,
/// and fails for the death, like all others.
void ProcessLink::fail_in_progress(Cause cause, State& state) noexcept {
  try {
    death_told_ |= !state.abandoned;
    const auto name = state.entry != nullptr ? state.entry->name : std::string_view{"close()"};
    if (&state == victim_ && cause == Cause::overdue) {
      state.store_error(std::make_exception_ptr(
          TimedOut(fmt::format("apalis: {} ran longer than its timeout of {}, and its worker '{}' "
                               "(pid {}) was killed",
                               name, in_words(limit_), options().name, pid()))));
    } else if (&state == victim_ && cause == Cause::cancelled) {
      state.store_cancelled(std::make_exception_ptr(Cancelled(
          fmt::format("apalis: {} was cancelled by force while it ran, and its worker '{}' "
                      "(pid {}) was killed",
                      name, options().name, pid()))));
    } else {
      state.store_error(death_);
    }
  } catch (...) {
    state.store_error(std::current_exception());  // no memory for words
  }
  (void)inbox_.pending.pop();
  actor::finish(state);
}

/// A call that runs, or is about to: its worker ends with it.
bool ProcessLink::end_by_force(State& state) {
  if (state_in_progress() != &state) {
    // The worker was stopped just before it began: nothing tells whether it would have.
    state.store_cancelled();
    state.set_phase(State::Phase::early);
  }
  victim_ = &state;
  bury(Cause::cancelled, "Token::cancel(force) ended its call");
  return state.was_cancelled();  // or its reply came just before the end
}

/// Ends whatever there is, for good.
void ProcessLink::dismiss(const char* why) noexcept {
  if (life_ == Life::running) {
    bury(Cause::dismissed, why);
  } else if (life_ == Life::down) {
    end(death_ != nullptr ? death_ : std::make_exception_ptr(Error(why)));
  }
}

void ProcessLink::end(std::exception_ptr why) noexcept {
  if (life_ == Life::ended) return;
  if (life_ == Life::running) {
    child_.kill();
    forget_presence();
  }
  ledger_.close();
  life_ = Life::ended;
  death_ = std::move(why);
  fail_pending();
  inbox_.journal = nullptr;
  journal_.reset();
  inbox_.forget_pieces();
  source_.close();
  wake_waiters();
}

void ProcessLink::fail_pending() noexcept {
  while (State* state = inbox_.pending.pop()) {
    if (state->phase() == State::Phase::pending) {
      state->store_error(death_);
      death_told_ |= !state->abandoned;
    }
    actor::finish(*state);
  }
}

// --- Replacement ---------------------------------------------------------------------------------

bool ProcessLink::may_replace(Cause cause) const noexcept {
  if (journal_ == nullptr || !source_.has_next() || cause == Cause::dismissed) return false;
  if (view_.control->orders.discard.load(std::memory_order_relaxed) != 0) return false;
  return cause == Cause::retired || counts_.restarts < options().restart.max;
}

/// Sorts out what the dead worker was sent: what it did is forgotten, what it was doing fails or is
/// tried again, the rest is to be sent to the next one. False if there is nothing for a next one.
bool ProcessLink::salvage(Cause cause) noexcept {
  const auto begun = view_.control->calls.begun.load(std::memory_order_relaxed);
  const auto finished = view_.control->calls.finished.load(std::memory_order_relaxed);
  auto& journal = *journal_;
  inbox_.failures.forget_worker();
  while (journal.front_is_sent() && begun != nothing_yet) {
    const auto& entry = *journal.front();
    if (entry.position != begun && channel::is_at_or_after(entry.position, begun)) break;
    if (entry.state == nullptr) {
      if (entry.position == begun && finished != begun) inbox_.failures.note_lost(death_);
    } else if (entry.position == begun && entry.state != victim_ && entry.state->retries > 0) {
      --entry.state->retries;
      entry.state->begun_before = true;
      break;
    } else {
      // Without a reply, though a later one may have begun: then the worker broke the order.
      fail_in_progress(cause, *entry.state);
    }
    journal.pop_front();
  }
  journal.rewind();
  drop_cancelled();
  if (closing_ && journal.size() == 1 && journal.front()->request == Request::close) {
    // The last worker's object is gone, one way or the other.
    if (cause != Cause::retired) return false;
    answer_farewell();
    journal.pop_front();
    return false;
  }
  try {
    inbox_.restart();
  } catch (...) {
    death_ = std::current_exception();  // no memory for the next worker's replies
    return false;
  }
  sender_.restart();
  begin_control();
  return true;
}

/// What was cancelled in the lane had only its reply to come.
void ProcessLink::drop_cancelled() noexcept {
  journal_->drop_cancelled();
  actor::PendingQueue rest;
  while (State* state = inbox_.pending.pop()) {
    if (state->phase() == State::Phase::early) {
      actor::finish(*state);
    } else {
      rest.push(*state);
    }
  }
  inbox_.pending = rest;
}

/// The first replacement comes at once, each further one in a row after twice the pause.
void ProcessLink::schedule(Cause cause) noexcept {
  const auto now = Clock::now();
  next_start_ = now;
  if (cause == Cause::retired) {
    ++counts_.retired;
  } else {
    ++counts_.restarts;
    const auto& policy = options().restart;
    if (now - started_ >= policy.max_backoff) backoff_ = milliseconds{0};
    next_start_ = now + backoff_;
    backoff_ = std::min(backoff_.count() == 0 ? policy.backoff : 2 * backoff_, policy.max_backoff);
  }
  if (next_start_ <= now) replace();
}

void ProcessLink::replace() noexcept {
  try {
    ledger_.begin();
    welcome(source_.next(generation()));
    spawn_failures_ = 0;
  } catch (const SystemError&) {
    // Short of processes or memory, which may pass.
    if (++spawn_failures_ >= most_spawn_failures || !source_.has_next())
      return end(std::current_exception());
    next_start_ = Clock::now() + std::max(options().restart.backoff, milliseconds{1});
    return;
  } catch (...) {
    return end(std::current_exception());
  }
  reach(Point::parent_replaced);
  send_journal();
}

// --- What is told --------------------------------------------------------------------------------

void ProcessLink::note_exit(Cause cause, bool replaced) noexcept {
  if (!replaced && !options().on_worker_exit) return;
  try {
    const auto& status = child_.status();
    exits_.push_back(
        {.name = options().name,
         .pid = pid(),
         .known = status.known,
         .status = status.status,
         .signal = status.signal,
         .expected = cause == Cause::retired || cause == Cause::dismissed || death_ == nullptr,
         .replaced = replaced,
         .error = death_});
  } catch (...) {  // no memory: its calls tell of its end
  }
}

void ProcessLink::tell(const WorkerExit& exit) const noexcept {
  if (exit.replaced && exit.error != nullptr)
    sys::log(LogLevel::info, actor::describe(exit.error) + "; another one takes its place");
  if (options().on_worker_exit) options().on_worker_exit(exit);
}

}  // namespace apalis::detail::backend
