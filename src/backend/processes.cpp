// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/processes.hpp>
#include <apalis/detail/actor/pieces.hpp>
#include <apalis/detail/actor/steps.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/event.hpp>
#include <apalis/detail/sys/oom.hpp>
#include <apalis/error.hpp>

// Calls, and the two ways of their bytes. The worker's end and replacement: supervision.cpp.

namespace apalis::detail::backend {
namespace {

using actor::Clock;
using actor::no_deadline;
using actor::Pieces;
using channel::is_at_or_after;
using std::chrono::milliseconds;

/// How long a worker may take to decide whether it begins a call that was just cancelled. It needs
/// nanoseconds, unless it is not running; one that was stopped by SIGSTOP decides later.
constexpr milliseconds decision_limit{100};

/// What nobody waits to be sent, as long as there is no worker.
bool is_full(const actor::Journal& journal) {
  return journal.size() >= channel::lane_units || journal.unsent_bytes() >= channel::arena_bytes;
}

}  // namespace

ProcessLink* ProcessLink::open(const Options& options, Maker& maker, Origin origin) {
  auto order = origin == Origin::any ? order_from_server(options, maker) : ServerOrder{};
  auto held = sys::lock_forks();
  auto* const link = new ProcessLink(options, maker, std::move(order), held);
  held.unlock();
  if (link->source_.has_forked_threads()) warn_of_threads();
  return link;
}

ProcessLink::ProcessLink(const Options& options, Maker& maker, ServerOrder order,
                         const sys::ForkLock& held)
    : LockedSource(options),
      region_(channel::Region::of_this_process(held)),
      slice_(region_, held),
      view_(channel::SliceView::at(slice_.base())),
      ledger_(region_, slice_.index(),
              {.maker = order.server == nullptr && maker.may_have_blocks ? &maker : nullptr,
               .for_life = maker.keeps_for_others}),
      sender_(view_.requests, !region_.backs_on_demand()),
      inbox_(view_.replies),
      child_bell_(view_.control->child_bell.asleep, view_.control->child_bell.epoch, sys::every_bit,
                  region_.heavy_barriers()),
      parent_bell_(view_.control->parent_bell.asleep, region_.header().parent.epoch,
                   std::uint32_t{1} << slice_.index() % 32, region_.heavy_barriers(),
                   region_.event_fd()),
      occupancy_(region_.occupancy()),
      worker_(view_.control->parent_core, view_.control->child_core),
      source_(this->options(), region_, slice_.index(), std::move(order)),
      may_leave_(maker.idle_limit > milliseconds::zero()) {
  if (maker.of_many) contents_ = maker.contents();
  begin_control();
  inbox_.ledger = &ledger_;
  ledger_.begin();
  (void)sys::oom_watch();  // once per process: what it will compare with, should a worker die
  if (options.restart.max > 0 || options.max_calls_per_worker > 0) {
    journal_ = std::make_unique<actor::Journal>();
    inbox_.journal = journal_.get();
  }
  inbox_.may_retire = options.max_calls_per_worker > 0 || may_leave_;
  takes_attachments_ = journal_ == nullptr;
  if (options.timeout.count() > 0) keep_time();
  modules_ = source_.modules(held);
  code_ = modules_->find(reinterpret_cast<const void*>(maker.destroy));
  welcome(source_.first(maker, held));
}

/// The slice goes back only here: until then waiters may look at it without the lock.
ProcessLink::~ProcessLink() {
  if (is_here()) return;
  ledger_.forget();
  slice_.forget();  // a fork dropped the last token; the slice is its parent's
  source_.forget();
}

// --- Calls ---------------------------------------------------------------------------------------

void ProcessLink::publish(const wire::Buffer& message, State& state) {
  Lock lock{mutex_};
  take_turn(lock, no_deadline);
  require_open();
  if (state.timeout.count() != 0) [[unlikely]]
    keep_time();
  state.set_phase(State::Phase::pending);
  reach(Point::parent_accepted);
  if (accept(lock, Request::call, message, &state, no_deadline)) [[likely]] {
    lock.unlock();
    reach(Point::parent_sent);
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
  if (accept(lock, Request::post, message, nullptr, no_deadline)) child_bell_.ring();
  report(lock);
}

void ProcessLink::poll() {
  Lock lock{mutex_};
  take_replies();
  // A program that polls in a loop never sleeps, and must learn of a death all the same.
  if (const auto now = Clock::now(); now - looked_ >= milliseconds{1}) {
    looked_ = now;
    look_after_worker();
  }
  run_due(lock);
  report(lock);
}

bool ProcessLink::drive(const Until& until, Deadline deadline) {
  if (until.state != nullptr && until.state->is_continued_here()) return true;
  channel::Patience patience{occupancy_, !worker_.on_this_core() && inbox_.has_heard()};
  for (;;) {
    if (until.reached()) return true;
    // First, for a worker that always has something to say must not keep us.
    if (deadline != no_deadline && Clock::now() >= deadline) {
      poll();  // which looks at the worker's health, so that a loop of short waits ends too
      return until.reached();
    }
    if (inbox_.has_message() || has_due()) {
      // Whoever has the lock is taking replies in, or will unlock soon.
      if (Lock lock{mutex_, std::try_to_lock}; lock) {
        take_replies();
        const auto behind = inbox_.pending.size();
        // What ran may have made more calls: their wait begins now.
        if (run_due(lock)) patience = channel::Patience{occupancy_};
        report(lock);
        if (lock) lock.unlock();
        if (behind > 1 && !until.reached()) occupancy_.breathe(2);
        continue;
      }
    }
    if (patience.pass()) continue;
    // What waits to be sent is sent by whoever waits for its result.
    auto room = std::optional<std::uint64_t>{};
    if (const Lock lock{mutex_, std::try_to_lock}; lock) {
      if (timed_) look_after_worker();
      if (journal_ != nullptr && !journal_->all_sent()) room = sender_.progress_seen();
    }
    sleep_until_rung(deadline, [&] {
      return until.reached() || has_news() || (room && sender_.has_progress_since(*room));
    });
    if (Lock lock{mutex_, std::try_to_lock}; lock) {
      look_after_worker();
      run_due(lock);
      report(lock);
    }
  }
}

bool ProcessLink::cancel(State& state, Cancel how) {
  Lock lock{mutex_};
  take_replies();
  bool dropped = state.phase() == State::Phase::pending && drop(state);
  if (!dropped && state.phase() == State::Phase::pending) {
    if (!is_sent(state)) {
      // To be run again, by a worker that has not got it yet.
      dropped = how == Cancel::force && take_back(state);
    } else if (how == Cancel::ask) {
      view_.control->orders.stop.store(channel::stop_order(state.position),
                                       std::memory_order_relaxed);
      note_order(state.position);
    } else if (how == Cancel::force) {
      dropped = end_by_force(state);
    }
  }
  report(lock);
  return dropped;
}

std::optional<std::uint32_t> ProcessLink::limit_steps(const State& state, std::uint32_t most) {
  const Lock lock{mutex_};
  if (life_ != Life::running || journal_ != nullptr || state.phase() != State::Phase::pending)
    return std::nullopt;
  auto& word = view_.control->orders.steps;
  const auto limited = word.load(std::memory_order_relaxed);
  // The worker reads one limit: that of another call has to be obeyed first.
  if (limited != 0 && actor::call_of(limited) != state.position &&
      !is_answered(actor::call_of(limited)))
    return std::nullopt;
  word.store(actor::limit_word(state.position, most), std::memory_order_relaxed);
  note_order(state.position);
  if (region_.heavy_barriers()) {
    sys::heavy_barrier();  // partner: the light barrier of Steps::begin()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  return steps_begun(state);
}

std::uint32_t ProcessLink::steps_begun(const State& state) const noexcept {
  const auto& calls = view_.control->calls;
  const auto word = calls.steps.load(std::memory_order_acquire);  // partner: Steps::begin()
  if (actor::call_of(word) == state.position) return actor::number_in(word);
  // Another call's: then this one has begun none so far, unless it is over.
  const auto begun = calls.begun.load(std::memory_order_acquire);  // partner: Worker::begin()
  const bool is_over = begun != channel::nothing_yet && begun != state.position &&
                       is_at_or_after(begun, state.position);
  return is_over ? all_steps : 0;
}

/// Orders name a call by its position, which another one will have some day.
void ProcessLink::note_order(std::uint32_t position) noexcept {
  if (!has_orders_ || is_at_or_after(position, ordered_)) ordered_ = position;
  has_orders_ = journal_ == nullptr;
}

void ProcessLink::withdraw_orders() noexcept {
  if (!is_answered(ordered_)) return;
  view_.control->orders.stop.store(0, std::memory_order_relaxed);
  view_.control->orders.steps.store(0, std::memory_order_relaxed);
  has_orders_ = false;
}

/// Of a call that was sent before those that are pending.
bool ProcessLink::is_answered(std::uint32_t position) const noexcept {
  const State* const oldest = inbox_.pending.front();
  return oldest == nullptr || !is_at_or_after(position, oldest->position);
}

/// Takes back a call that has not begun. False if it has, or has an outcome by now.
bool ProcessLink::drop(State& state) {
  if (state.begun_before) return false;
  if (take_back(state)) return true;
  if (!is_sent(state)) {
    // Some of it is; the rest will carry the mark.
    announce_cancel();
    state.store_cancelled();
    state.set_phase(State::Phase::early);
    return true;
  }
  if (!sender_.mark(state.position)) return false;
  const auto worker = generation();
  announce_cancel();
  if (region_.heavy_barriers()) {
    sys::heavy_barrier();  // partner: the light barrier of Worker::begin()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  const auto& calls = view_.control->calls;
  const auto patience_ends = Clock::now() + decision_limit;
  bool undecided = false;
  while (is_at_or_after(calls.considered.load(std::memory_order_relaxed), state.position)) {
    // The worker took it up before it could surely see the mark; a moment later it has decided,
    // unless it was stopped right there. If it has begun a later one, the reply to this one is
    // here.
    if (calls.begun.load(std::memory_order_acquire) == state.position) return false;
    undecided = look_after_worker() || Clock::now() >= patience_ends;
    if (undecided) break;
    take_replies();
    if (state.phase() != State::Phase::pending || generation() != worker) break;
    sys::yield_core();
  }
  if (state.phase() != State::Phase::pending) return state.was_cancelled();
  // The mark went with the worker that it was for; the call may be on its way to the next one.
  if (generation() != worker || life_ != Life::running) return drop(state);
  // No second look at `considered`: a worker that takes the call up from now on sees the mark.
  if (undecided) return false;
  state.store_cancelled();
  state.set_phase(State::Phase::early);
  return true;
}

/// Takes back a call of which the worker has nothing.
bool ProcessLink::take_back(State& state) noexcept {
  if (journal_ == nullptr || !journal_->take_back(state)) return false;
  inbox_.pending.remove(state);
  state.store_cancelled();
  // No reply will tell an event loop.
  if (state.continuations != nullptr) sys::signal_event(region_.event_fd());
  actor::finish(state);
  wake_waiters();
  return true;
}

/// From now on the worker looks for marks.
void ProcessLink::announce_cancel() noexcept {
  auto& cancels = view_.control->orders.cancels;
  cancels.store(cancels.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

/// Whether the worker of now was sent all of a call: only then its position is its own.
bool ProcessLink::is_sent(const State& state) const noexcept {
  return journal_ == nullptr || journal_->is_sent(state);
}

/// Calls that the worker has not taken up yet are settled at once; it will find the order.
void ProcessLink::cancel_queued() noexcept {
  view_.control->orders.discard.store(1, std::memory_order_relaxed);
  if (region_.heavy_barriers()) sys::heavy_barrier();  // partner: Worker::begin()
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto taken_up = view_.control->calls.considered.load(std::memory_order_relaxed);
  inbox_.pending.for_each([&](State& state) {
    if (state.phase() != State::Phase::pending || state.entry == nullptr ||
        (is_sent(state) && is_at_or_after(taken_up, state.position)))
      return;
    state.store_cancelled();
    state.set_phase(State::Phase::early);
  });
  wake_waiters();
}

bool ProcessLink::alive() {
  Lock lock{mutex_};
  look_after_worker();
  const bool result = life_ != Life::ended && !closing_;
  report(lock);
  return result;
}

void ProcessLink::kill() {
  Lock lock{mutex_};
  take_replies();
  death_told_ = true;
  dismiss("Handler::kill() was called");
  run_due(lock);
  report(lock);
}

ProcessLink::Counts ProcessLink::counts() {
  const Lock lock{mutex_};
  return counts_;
}

// --- Sending -------------------------------------------------------------------------------------

/// Calls after close() throw; those after a death fail with it.
void ProcessLink::require_death() const {
  if (closing_ || (life_ == Life::ended && death_ == nullptr))
    refuse_closed();
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

/// Sends a message, and queues the state that its reply is for. False if there is no worker any
/// more or the deadline passed.
bool ProcessLink::accept(Lock& lock, Request request, const wire::Buffer& message, State* state,
                         Deadline deadline) {
  if (journal_ != nullptr) [[unlikely]]
    return accept_in_journal(lock, request, message, state, deadline);
  if (message.size() > channel::block_limit || message.attachments() != nullptr) [[unlikely]]
    return accept_in_pieces(lock, request, message, state, deadline);
  const bool names_blocks = !message.holds().empty();
  if (names_blocks) [[unlikely]]
    ledger_.prepare(message.holds());
  if (!send(lock, request, message, deadline)) return false;
  if (names_blocks) [[unlikely]]
    ledger_.grant(message.holds(), sender_.last_position());
  note_sent(state);
  return true;
}

void ProcessLink::note_sent(State* state) noexcept {
  if (state == nullptr) return;
  if (has_orders_) [[unlikely]]
    withdraw_orders();
  state->position = sender_.last_position();
  inbox_.pending.push(*state);
}

/// Here what cannot be sent yet is accepted all the same while there is no worker.
bool ProcessLink::accept_in_journal(Lock& lock, Request request, const wire::Buffer& message,
                                    State* state, Deadline deadline) {
  channel::Patience patience{occupancy_};
  const auto is_late = [&] { return deadline != no_deadline && Clock::now() >= deadline; };
  look_after_worker();
  while (life_ == Life::down && is_full(*journal_)) {
    wait_for_room(lock, patience);
    if (is_late()) return false;
  }
  if (life_ == Life::ended) return false;
  ledger_.prepare(message.holds());
  const auto number = journal_->push(request, message, state);
  if (state != nullptr) inbox_.pending.push(*state);
  send_journal();
  // Not for what other threads accept meanwhile: the worker may wait for what this one does next.
  while (life_ == Life::running && !journal_->has_sent(number)) {
    wait_for_room(lock, patience);
    if (is_late()) return false;
    send_journal();
  }
  return true;  // what became of it, if there is no worker any more, is with its state
}

void ProcessLink::send_journal() noexcept {
  if (journal_ == nullptr || life_ != Life::running) return;
  try {
    if (journal_->size() > channel::lane_units / 8)
      journal_->passed(view_.control->calls.begun.load(std::memory_order_acquire));
    if (!journal_->all_sent() && journal_->send(sender_, ledger_)) child_bell_.ring();
  } catch (const channel::ProtocolViolation& violation) {
    bury(Cause::died, violation.what());
  } catch (...) {
    end(std::current_exception());  // no memory
  }
}

/// Sends a message of up to a block. False if the worker has died, or the deadline passed.
bool ProcessLink::send(Lock& lock, Request request, const wire::Buffer& message,
                       Deadline deadline) {
  if (life_ == Life::ended) return false;
  const auto tag = static_cast<std::uint8_t>(request);
  try {
    const auto try_send = [&] { return sender_.try_send(tag, message.data(), message.size()); };
    return try_send() || send_slowly(lock, try_send, deadline);
  } catch (const channel::ProtocolViolation& violation) {
    bury(Cause::died, violation.what());
    return false;
  }
}

/// The worker begins once it has the head, and may have answered before it has the rest.
bool ProcessLink::accept_in_pieces(Lock& lock, Request request, const wire::Buffer& message,
                                   State* state, Deadline deadline) {
  if (life_ == Life::ended) return false;
  ledger_.prepare(message.holds());
  sender_.back_all();
  Pieces pieces{message};
  const auto send_until = [&](bool (Pieces::*enough)() const noexcept, Deadline until) {
    return send_slowly(
        lock,
        [&] {
          const auto piece = pieces.next();
          if (!sender_.try_send_piece(static_cast<std::uint8_t>(request), piece.data(),
                                      piece.size(), pieces.whole()))
            return false;
          pieces.pass();
          reach(Point::parent_piece);
          child_bell_.ring();
          return (pieces.*enough)();
        },
        until);
  };
  try {
    if (message.attachments() == nullptr) {
      if (!send_until(&Pieces::done, deadline)) return false;
      ledger_.grant(message.holds(), sender_.last_position());
      note_sent(state);
      return true;
    }
    if (!send_until(&Pieces::head_done, deadline)) return false;
    ledger_.grant(message.holds(), sender_.last_position());
    note_sent(state);
    (void)send_until(&Pieces::done, no_deadline);  // if it died, its state says so
  } catch (const channel::ProtocolViolation& violation) {
    bury(Cause::died, violation.what());
    return state != nullptr && state->phase() != State::Phase::pending;
  }
  return true;
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
  while (life_ != Life::ended) {
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
  const auto seen = sender_.progress_seen();
  lock.unlock();
  const bool sleep = !patience.pass();
  if (sleep)
    sleep_until_rung(no_deadline,
                     [&] { return inbox_.has_message() || sender_.has_progress_since(seen); });
  lock.lock();
  if (sleep) look_after_worker();
}

// --- Replies -------------------------------------------------------------------------------------

void ProcessLink::take_replies() noexcept {
  if (life_ != Life::running) return;
  try {
    reach(Point::parent_taking);
    const auto taken = inbox_.take();
    reach(Point::parent_settled);
    if (taken.reported) child_bell_.ring();
    if (taken.any) wake_waiters();
    if (channel::waiting_blocks.load(std::memory_order_relaxed) != 0) [[unlikely]]
      ledger_.look_again();
    region_.tend_kept_block();
    if (inbox_.has_retired) [[unlikely]]
      bury(Cause::retired, {});
  } catch (const channel::ProtocolViolation& violation) {
    bury(Cause::died, violation.what());
  } catch (const std::bad_alloc&) {
    bury(Cause::died, "there was no memory for its reply");
  }
}

// --- Draining and closing ------------------------------------------------------------------------

void ProcessLink::drain() {
  Errand errand;
  {
    Lock lock{mutex_};
    take_turn(lock, no_deadline);
    require_open();
    errand.set_phase(State::Phase::pending);
    if (!accept(lock, Request::drain, wire::Buffer{}, &errand, no_deadline)) {
      death_told_ = true;
      const auto death = death_;
      report(lock);
      std::rethrow_exception(death);
    }
  }
  child_bell_.ring();
  wait(errand, no_deadline);
  surface(errand.failures, errand.failed_posts());
}

void ProcessLink::close() {
  close_until(no_deadline);
}

void ProcessLink::begin_close(bool discard) noexcept {
  try {
    Lock lock{mutex_};
    // Whoever is in mid-message comes first; and a journal's message is as good as sent.
    if (sending_ || closing_ || life_ != Life::running || journal_ != nullptr) return;
    if (discard) cancel_queued();
    farewell_.set_phase(State::Phase::pending);
    close_begun_ = accept(lock, Request::close, wire::Buffer{}, &farewell_, actor::at_once);
    closing_ = close_accepted_ = close_begun_;
  } catch (...) {  // then close() or shut() will tell
  }
  child_bell_.ring();
}

void ProcessLink::close_until(Deadline deadline) {
  if (Lock lock{mutex_}; !std::exchange(close_begun_, false)) {
    take_turn(lock, deadline);
    if (life_ == Life::ended && death_ != nullptr && !std::exchange(death_told_, true))
      std::rethrow_exception(death_);
    if (life_ == Life::ended || closing_) return;
    farewell_.set_phase(State::Phase::pending);
    closing_ = true;
    if (!accept(lock, Request::close, wire::Buffer{}, &farewell_, deadline)) {
      if (left_) return report(lock);
      dismiss("it took no messages within close_timeout");
      const auto death = death_;
      report(lock);
      std::rethrow_exception(death);
    }
    close_accepted_ = true;
  }
  child_bell_.ring();
  if (!wait(farewell_, deadline)) {
    Lock lock{mutex_};
    dismiss("it did not end within close_timeout");
    const auto death = death_;
    report(lock);
    std::rethrow_exception(death);
  }
  const auto count = farewell_.failed_posts();
  {
    Lock lock{mutex_};
    auto left = milliseconds{-1};
    if (deadline != no_deadline)
      left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds{0});
    if (life_ == Life::running) child_.wait(left);  // it has said that it is done, so nothing but
    bury(Cause::died, {});                          // its exit is missing, or is made up for
    run_due(lock);
    report(lock);
  }
  surface(farewell_.failures, count);
}

void ProcessLink::shut(bool discard, Deadline deadline) noexcept {
  try {
    {
      Lock lock{mutex_};
      if (!close_begun_ && (life_ == Life::ended || closing_)) {
        if (closing_) dismiss("its handler was destroyed");
        run_due(lock);
        const auto untold =
            death_ != nullptr && !std::exchange(death_told_, true) ? death_ : nullptr;
        report(lock);
        if (lock) lock.unlock();
        if (untold != nullptr) report_lost(untold);
        return;
      }
      if (discard) cancel_queued();
      if (discard && life_ == Life::down) dismiss("its handler was destroyed");
    }
    close_until(deadline);
  } catch (...) {
    Lock lock{mutex_};
    dismiss("it did not end within close_timeout");
    run_due(lock);
    report(lock);
    if (lock) lock.unlock();
    report_lost(std::current_exception());
  }
}

/// For the hooks, which may call anything but must not find a lock held. Unlocks if there is
/// something to tell.
void ProcessLink::tell_reports(Lock& lock) {
  const bool failed = inbox_.failures.has_unreported() && options().on_error;
  if (!failed && exits_.empty()) [[likely]]
    return;
  const auto error = failed ? inbox_.failures.report(pid()) : nullptr;
  const auto exits = std::exchange(exits_, {});
  lock.unlock();
  for (const auto& exit : exits) tell(exit);
  if (failed) call_hook(error);
}

// --- Waiting -------------------------------------------------------------------------------------

void ProcessLink::sleep_until_rung(Deadline deadline, auto awake) noexcept {
  sleepers_.fetch_add(1);
  const auto ticket = parent_bell_.announce();
  reach(Point::parent_asleep);
  if (!awake()) {
    std::chrono::nanoseconds limit = actor::look_interval;
    const auto until = std::min(deadline, overdue_.load(std::memory_order_relaxed));
    if (until != no_deadline)
      limit = std::clamp<std::chrono::nanoseconds>(until - Clock::now(), {}, limit);
    parent_bell_.sleep(ticket, limit);
  }
  sleepers_.fetch_sub(1);
}

void ProcessLink::begin_sleep(channel::Bells& bells) noexcept {
  sleepers_.fetch_add(1);
  bells.add(parent_bell_);
}

void ProcessLink::begin_event(Deadline& next_look) noexcept {
  const Lock lock{mutex_};
  if (life_ == Life::ended) return;
  next_look = std::min(next_look, life_ == Life::down ? next_start_ : next_overdue());
  parent_bell_.mark_event();
}

pid_t ProcessLink::watched() noexcept {
  const Lock lock{mutex_};
  return life_ == Life::running ? pid() : 0;
}

void ProcessLink::wake_waiters() noexcept {
  if (region_.heavy_barriers()) {
    sys::light_barrier();  // partner: announce() in sleep_until_rung()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  if (sleepers_.load(std::memory_order_relaxed) > 0) parent_bell_.wake();
}

}  // namespace apalis::detail::backend
