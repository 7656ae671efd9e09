// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls whose replies are due, of every type of result, and what a token does with them.

#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../unit/actor/fake_link.hpp"
#include "errors.hpp"
#include "values.hpp"

namespace apalis::fuzz {

/// A link of which only the pid is asked for.
class AnyLink {
 public:
  AnyLink() : link_(new test::FakeLink(destroyed_)) {}
  ~AnyLink() { link_->release(); }
  AnyLink(const AnyLink&) = delete;
  AnyLink& operator=(const AnyLink&) = delete;
  [[nodiscard]] detail::actor::Link& get() noexcept { return *link_; }

 private:
  bool destroyed_ = false;
  test::FakeLink* link_;
};

/// One call, as its token sees it.
class Call {
 public:
  virtual ~Call() = default;
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] virtual detail::actor::State* state() noexcept = 0;
  /// The token goes away before there is an outcome: the state is the link's.
  virtual void abandon() noexcept = 0;
  /// Decodes, once there is an outcome.
  virtual void look() = 0;
};

template <class R, class StateOfR>
class CallOf final : public Call {
 public:
  explicit CallOf(std::unique_ptr<StateOfR> state) : state_(std::move(state)) {}

  [[nodiscard]] detail::actor::State* state() noexcept override { return state_.get(); }
  void abandon() noexcept override { state_.release()->abandoned = true; }
  void look() override {
    if (state_ == nullptr) return;
    expect_or_examine([&] { touch(state_->value()); });
    examine(state_->error());
    if (!state_->was_cancelled()) expect_or_examine([&] { (void)state_->bytes(); });
  }

 private:
  // What the child says it threw may be of any type; what our decoding throws may not.
  template <class Decode>
  void expect_or_examine(Decode&& decode) {
    if (state_->error() == nullptr) return expect_value_or_error(decode);
    try {
      decode();
    } catch (...) {
      examine(std::current_exception());
    }
  }

  std::unique_ptr<StateOfR> state_;
};

template <>
inline void touch(const detail::actor::NoValue&) {}

using MakeCall = std::unique_ptr<Call> (*)();

template <class R>
std::unique_ptr<Call> make_call() {
  using State = detail::actor::ReplyState<R>;
  return std::make_unique<CallOf<R, State>>(std::unique_ptr<State>(new State));
}

template <class R>
std::unique_ptr<Call> make_batch() {
  using State = detail::actor::BatchState<R>;
  return std::make_unique<CallOf<R, State>>(std::unique_ptr<State>(new State(3)));
}

/// A maker for each type of result: those of the examples, then the others.
inline const std::vector<MakeCall>& call_makers() {
  static const auto makers = [] {
    std::vector<MakeCall> all;
    for_each_example([&]<class T>(std::size_t, const T&) { all.push_back(&make_call<T>); });
    all.push_back(&make_call<void>);
    all.push_back(&make_batch<void>);
    all.push_back(&make_batch<int>);
    all.push_back(&make_batch<bool>);
    all.push_back(&make_batch<Point>);
    all.push_back(&make_batch<std::string>);
    all.push_back(&make_batch<std::vector<double>>);
    all.push_back(&make_batch<std::vector<std::vector<Nothing>>>);
    all.push_back(&make_batch<Shared>);
    return all;
  }();
  return makers;
}

}  // namespace apalis::fuzz
