// SPDX-License-Identifier: BSL-1.0
#pragma once

// What co_await does with a token.

#include <apalis/detail/actor/result_state.hpp>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace apalis::detail::actor {

/// **Owns** the state, if its token was given away.
/// **Threads:** resumes on whichever is inside the token's source.
template <class R, bool moved>
class TokenAwaiter final : private Continuation {
 public:
  TokenAwaiter(ResultState<R>& state, OwnedState<R> owned) noexcept
      : state_(state), owned_(std::move(owned)) {}
  TokenAwaiter(const TokenAwaiter&) = delete;
  TokenAwaiter& operator=(const TokenAwaiter&) = delete;
  /// Of a coroutine that is destroyed while it waits: nothing will go on.
  ~TokenAwaiter() {
    if (waits_) state_.source()->detach(state_, *this);
  }

  [[nodiscard]] bool await_ready() const noexcept { return state_.has_outcome(); }

  /// In a Coroutine, tells whoever drives it what it waits for now.
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> coroutine) {
    coroutine_ = coroutine;
    if constexpr (requires { coroutine.promise().driver->follow(*state_.source()); })
      if (auto* const driver = coroutine.promise().driver) driver->follow(*state_.source());
    waits_ = true;
    if (state_.source()->attach(state_, *this)) return true;  // it may even be over by now
    waits_ = false;
    return false;
  }

  decltype(auto) await_resume() {
    if constexpr (std::is_void_v<R>) {
      (void)state_.value();
    } else if constexpr (moved) {
      return R(std::move(state_.value()));
    } else {
      return std::as_const(state_.value());
    }
  }

 private:
  void run(State& /*state*/) noexcept override {
    waits_ = false;
    coroutine_.resume();
  }

  ResultState<R>& state_;
  OwnedState<R> owned_;
  std::coroutine_handle<> coroutine_;
  bool waits_ = false;
};

}  // namespace apalis::detail::actor
