// SPDX-License-Identifier: BSL-1.0
#pragma once

// Code that waits for calls without holding a thread.
//
//   apalis::Coroutine<double> price(apalis::Handler<Model>& h, double strike) {
//     const double mean = co_await h.call(&Model::mean, strike);
//     co_return mean + co_await h.call(&Model::correction, strike);
//   }
//   double one = apalis::sync_wait(price(h, 100));
//   auto both = apalis::get(apalis::start(price(h, 90)), apalis::start(price(k, 110)));

#include <apalis/detail/actor/driver.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/token.hpp>
#include <atomic>
#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace apalis {

template <class T = void>
class Coroutine;

namespace detail {

/// What every coroutine of ours knows: who waits for it, and who drives it.
struct CoroutinePromiseBase {
  struct FinalAwaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      auto& promise = self.promise();
      const auto next = promise.waiting;  // the frame may be gone after what follows
      if (promise.met.exchange(true, std::memory_order_acq_rel)) return next;
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }

  actor::Driver* driver = nullptr;  // null where a coroutine of another library waits for it
  std::coroutine_handle<> waiting;
  // Its end, or the return of whoever began it: the second of the two goes on with `waiting`. So a
  // coroutine that ends without having waited leaves nothing on the stack, even where the compiler
  // makes no tail calls (in debug builds, under sanitizers).
  std::atomic<bool> met{false};
  std::exception_ptr error;
};

template <class T>
struct CoroutinePromise : CoroutinePromiseBase {
  Coroutine<T> get_return_object() noexcept;
  template <class U = T>
    requires std::constructible_from<T, U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (error != nullptr) std::rethrow_exception(error);
    return std::move(*value);
  }
  std::optional<T> value;
};
template <>
struct CoroutinePromise<void> : CoroutinePromiseBase {
  Coroutine<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const {
    if (error != nullptr) std::rethrow_exception(error);
  }
};

}  // namespace detail

/// A coroutine that gives a T. Lazy: it begins when something waits for it, by co_await,
/// sync_wait() or start().
///
/// **Owns** its frame. Moves, never copies.
/// **Threads:** one at a time. After a co_await on a token it goes on on the thread that is inside
/// the handler, poll() or sync_wait(): that may be another one than before if several use the
/// handler.
/// **Throws** what leaves its body, from co_await, or from the token of start().
template <class T>
class [[nodiscard]] Coroutine {
  static_assert(!std::is_reference_v<T>, "apalis: a Coroutine gives a value, not a reference");

 public:
  using promise_type = detail::CoroutinePromise<T>;
  using value_type = T;

  Coroutine(Coroutine&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
  Coroutine& operator=(Coroutine&& other) noexcept {
    if (this != &other) {
      if (self_) self_.destroy();
      self_ = std::exchange(other.self_, nullptr);
    }
    return *this;
  }
  ~Coroutine() {
    if (self_) self_.destroy();
  }

  /// Begins it; the awaiting coroutine goes on when it has ended. Throws Error if moved from.
  auto operator co_await() && {
    if (!self_) throw Error("apalis: this coroutine was moved from");
    return Awaiter{self_};
  }

 private:
  friend promise_type;
  struct Awaiter {
    std::coroutine_handle<promise_type> self;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) noexcept {
      self.promise().waiting = waiting;
      if constexpr (requires { self.promise().driver = waiting.promise().driver; })
        self.promise().driver = waiting.promise().driver;
      self.resume();
      return !self.promise().met.exchange(true, std::memory_order_acq_rel);
    }
    T await_resume() { return self.promise().take(); }
  };

  explicit Coroutine(std::coroutine_handle<promise_type> self) noexcept : self_(self) {}

  std::coroutine_handle<promise_type> self_;
};

namespace detail {

template <class T>
Coroutine<T> CoroutinePromise<T>::get_return_object() noexcept {
  return Coroutine<T>{std::coroutine_handle<CoroutinePromise>::from_promise(*this)};
}
inline Coroutine<void> CoroutinePromise<void>::get_return_object() noexcept {
  return Coroutine<void>{std::coroutine_handle<CoroutinePromise>::from_promise(*this)};
}

/// The outcome of a started coroutine.
template <class T>
class CoroutineState final : public actor::ComputedState<T> {
 public:
  explicit CoroutineState(actor::Driver& driver) noexcept {
    actor::State::attach(driver);
    this->set_phase(actor::State::Phase::pending);
  }
};

/// Nobody waits for this coroutine: it runs at once, and its frame ends with it.
struct Detached {
  struct promise_type {
    promise_type(auto& /*coroutine*/, auto& /*state*/, actor::Driver& d) noexcept : driver(&d) {}
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }  // nothing leaves its body

    actor::Driver* driver;
  };
};

template <class T>
Detached run_detached(Coroutine<T> coroutine, CoroutineState<T>& state, actor::Driver& driver) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(coroutine);
      state.emplace();
    } else {
      state.emplace(co_await std::move(coroutine));
    }
  } catch (...) {
    state.store_error(std::current_exception());
  }
  driver.complete(state);
}

}  // namespace detail

/// Begins the coroutine, on this thread, until it waits for the first time; it goes on as the
/// rule of continuations says, if only somebody polls. The token may be dropped: the coroutine
/// runs on.
template <class T>
Token<T> start(Coroutine<T> coroutine) {
  auto* const driver = detail::actor::Driver::make();
  auto* const state = new detail::CoroutineState<T>{*driver};
  driver->release();  // the state has it
  Token<T> token = detail::actor::TokenAccess::make<T>(state);
  detail::run_detached(std::move(coroutine), *state, *driver);
  return token;
}

/// Runs the coroutine to its end. **Blocks** until then, and runs on this thread what is due on
/// the handlers that it waits for. **Throws** what it throws.
template <class T>
T sync_wait(Coroutine<T> coroutine) {
  return start(std::move(coroutine)).get();
}

}  // namespace apalis
