// SPDX-License-Identifier: BSL-1.0
#pragma once

// The future of one call.
//
//   apalis::Token<int> t = h.call(&Counter::add, 5);
//   const int& sum = t.get();                      // waits; repeatable
//   int moved = h.call(&Counter::add, 1).get();    // from an rvalue the result is moved out
//   if (const int* now = t.try_get()) use(*now);   // never waits

#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/then_state.hpp>
#include <apalis/detail/actor/token_awaiter.hpp>
#include <apalis/error.hpp>
#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

namespace apalis {

/// Tells cancel() to end a call that runs.
struct force_t {
  explicit force_t() = default;
};
inline constexpr force_t force{};

namespace detail::actor {
struct TokenAccess;
}

/// The result that a call will have, or the exception that it threw.
///
/// **Owns** the result once it is there. A token may outlive its handler. Dropping one discards
/// the result; it neither waits nor leaks.
/// **Threads:** one at a time; different tokens of one handler on different threads.
/// **Fork:** works only in the process that made the call.
/// **Blocks:** get(), operator(), wait(): until the call has ended. wait_for(): up to its limit.
/// The rest never.
/// **Peer death:** get() throws WorkerDied; a waiting thread learns of it within 2 ms.
/// **Throws:** get(), operator() and try_get() throw what the call threw (see RemoteError), or
/// Cancelled or WorkerDied; every function throws Error on an empty token.
template <class R>
class [[nodiscard]] Token {
 public:
  using value_type = R;

  Token() noexcept = default;
  Token(Token&&) noexcept = default;
  Token& operator=(Token&&) noexcept = default;

  /// False for a token that was default constructed, moved from, or whose result was moved out.
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

  /// Waits, then gives the result, which lives with the token.
  decltype(auto) get() & {
    await();
    if constexpr (std::is_void_v<R>) {
      (void)state_->value();
    } else {
      return static_cast<const R&>(state_->value());
    }
  }

  /// Waits, then moves the result out; the token is empty afterwards.
  R get() && {
    await();
    const State state = std::move(state_);
    if constexpr (std::is_void_v<R>) {
      (void)state->value();
    } else {
      return std::move(state->value());
    }
  }

  decltype(auto) operator()() & { return get(); }
  R operator()() && { return std::move(*this).get(); }

  /// Whether get() would return or throw at once.
  [[nodiscard]] bool ready() {
    return checked().has_outcome() || source_here().wait(*state_, detail::actor::at_once);
  }

  void wait() { await(); }

  /// True if there is an outcome, false if the time ran out first.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> limit) {
    if (checked().has_outcome()) return true;
    return source_here().wait(*state_, detail::actor::deadline_after(limit));
  }

  /// The result if it is there, else null. For Token<void>: whether the call has ended.
  [[nodiscard]] auto try_get() -> std::conditional_t<std::is_void_v<R>, bool, const R*> {
    const bool there = ready();
    if constexpr (std::is_void_v<R>) {
      if (there) (void)state_->value();
      return there;
    } else {
      return there ? &state_->value() : nullptr;
    }
  }

  /// Drops the call if it has not begun: true, and get() throws Cancelled. False if it has begun or
  /// ended. One that runs is asked to stop: this_worker().stop_token() in it says so; what it does
  /// then is its own affair, and its outcome this token's. (False of a worker that SIGSTOP caught
  /// just before it began the call: once continued, it may still drop it.)
  bool cancel() { return cancel(detail::actor::Source::Cancel::ask); }

  /// The same, but the worker of a call that runs is killed: true, and get() throws Cancelled. What
  /// becomes of the other calls, Options::restart says.
  bool cancel(force_t) { return cancel(detail::actor::Source::Cancel::force); }

  // --- What comes after --------------------------------------------------------------------------
  //
  // It runs on whichever thread is inside get(), wait(), drain(), close() or the like of this
  // token's handler, apalis::poll() or apalis::sync_wait(): never inside call() or post(), never on
  // a thread of the library's. If the outcome is there already, it runs at once.

  /// The token of f(const R&). A failure skips f and is what that token throws.
  template <class F>
    requires detail::actor::can_follow<F, R, false>
  auto then(F f) & {
    if (!checked().has_outcome()) (void)source_here();
    return then<false>(*state_, std::move(f), nullptr);
  }
  /// The token of f(R), which gets the result moved out; this token is empty afterwards.
  template <class F>
    requires detail::actor::can_follow<F, R, true>
  auto then(F f) && {
    if (!checked().has_outcome()) (void)source_here();
    auto owned = std::move(state_);
    auto& before = *owned;
    return then<true>(before, std::move(f), std::move(owned));
  }

  /// The result as get() gives it: const R&, or R of a temporary or moved token.
  auto operator co_await() & {
    if (!checked().has_outcome()) (void)source_here();
    return detail::actor::TokenAwaiter<R, false>{*state_, nullptr};
  }
  auto operator co_await() && {
    auto& state = checked();
    if (!state.has_outcome()) (void)source_here();
    return detail::actor::TokenAwaiter<R, true>{state, std::move(state_)};
  }

 private:
  friend struct detail::actor::TokenAccess;
  using ResultState = detail::actor::ResultState<R>;

  using State = detail::actor::OwnedState<R>;

  template <class T>
  friend class Token;
  explicit Token(ResultState* submitted) noexcept : state_(submitted) {}

  bool cancel(detail::actor::Source::Cancel how) {
    if (checked().has_outcome()) return false;
    (void)source_here();
    return state_->cancel(how);
  }
  ResultState& checked() const {
    if (state_ == nullptr) [[unlikely]]
      throw Error("apalis: this token is empty: its result was moved out, or it was moved from");
    return *state_;
  }
  detail::actor::Source& source_here() const {
    detail::actor::Source& source = *state_->source();
    if (!source.is_here()) [[unlikely]]
      throw Error("apalis: this token belongs to the process that made the call, not to its fork");
    return source;
  }
  void await() const {
    if (!checked().has_outcome()) source_here().wait(*state_, detail::actor::no_deadline);
  }
  template <bool moved, class F>
  static auto then(ResultState& before, F f, State owned) {
    using Then = detail::actor::ThenState<R, F, moved>;
    auto* const state = new Then{std::move(f)};
    Token<typename Then::Result> token{state};
    state->follow(before, std::move(owned));
    return token;
  }

  State state_;
};

/// For the library's other rooms: a user never needs the state.
struct detail::actor::TokenAccess {
  template <class R>
  static Token<R> make(ResultState<R>* submitted) noexcept {
    return Token<R>{submitted};
  }
  template <class R>
  static State* state(const Token<R>& token) {
    if (!token.checked().has_outcome()) (void)token.source_here();  // refuses in a fork
    return token.state_.get();
  }
};

}  // namespace apalis
