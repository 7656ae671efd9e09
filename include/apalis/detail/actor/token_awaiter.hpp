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

  [[nodiscard]] bool await_ready() const noexcept { return state_.has_outcome(); }

  /// In a Coroutine, tells whoever drives it what it waits for now.
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> coroutine) {
    coroutine_ = coroutine;
    if constexpr (requires { coroutine.promise().driver->follow(*state_.source()); })
      coroutine.promise().driver->follow(*state_.source());
    return state_.source()->attach(state_, *this);  // then it may be over before this returns
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
  void run(State& /*state*/) noexcept override { coroutine_.resume(); }

  ResultState<R>& state_;
  OwnedState<R> owned_;
  std::coroutine_handle<> coroutine_;
};

}  // namespace apalis::detail::actor
