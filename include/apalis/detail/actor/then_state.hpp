// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a token's then() gives: the state of a result that is computed here, once another is there.

#include <apalis/detail/actor/result_state.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace apalis::detail::actor {

/// What `f` makes of a T: of a const T& if the token keeps it.
template <class F, class T, bool moved>
struct ThenResult {
  using Argument = std::conditional_t<moved, T, const T&>;
  using type = std::remove_cvref_t<std::invoke_result_t<F&, Argument>>;
};
template <class F, bool moved>
struct ThenResult<F, void, moved> {
  using type = std::remove_cvref_t<std::invoke_result_t<F&>>;
};

template <class F, class T, bool moved>
concept can_follow =
    (std::is_void_v<T> && std::is_invocable_v<F&>) ||
    (!std::is_void_v<T> &&
     std::is_invocable_v<F&, std::conditional_t<moved, std::add_rvalue_reference_t<T>,
                                                std::add_lvalue_reference_t<const T>>>);

/// **Owns** the callable and, if the token was given away, the state before it.
/// **Threads:** its token's; run() on whichever thread is inside the source.
template <class T, class F, bool moved, class R = typename ThenResult<F, T, moved>::type>
class ThenState final : public ComputedState<R>, private Continuation {
 public:
  using Result = R;

  explicit ThenState(F f) : f_(std::move(f)) {}

  /// Starts waiting for `before`; `owned` is it, if its token was given away.
  void follow(ResultState<T>& before, OwnedState<T> owned) {
    before_ = std::move(owned);
    State::attach(*before.source());
    this->set_phase(State::Phase::pending);
    if (!before.source()->attach(before, *this)) run_at_once(before, *this);
  }

  bool cancel(Source::Cancel /*how*/) override { return this->source()->cancel_computed(*this); }

 private:
  void run(State& state) noexcept override {
    if (this->source()->begin_computing(*this)) {
      auto& before = static_cast<ResultState<T>&>(state);
      try {
        compute(before.value());
      } catch (...) {
        this->store_error(std::current_exception());
      }
    }
    f_.reset();
    before_.reset();
    this->source()->settle(*this);  // which may delete this
  }

  void compute(stored_t<T>& value) {
    if constexpr (std::is_void_v<T>) {
      compute_by([this] { return std::invoke(*f_); });
    } else if constexpr (moved) {
      compute_by([&] { return std::invoke(*f_, std::move(value)); });
    } else {
      compute_by([&] { return std::invoke(*f_, std::as_const(value)); });
    }
  }
  template <class Call>
  void compute_by(Call call) {
    if constexpr (std::is_void_v<R>) {
      call();
      this->emplace();
    } else {
      this->emplace(call());
    }
  }

  std::optional<F> f_;
  OwnedState<T> before_;
};

}  // namespace apalis::detail::actor
