// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls whose replies are due, of every type of result, and what a token does with them.

#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/gather_state.hpp>
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <array>
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

  /// Those that a reply is due for.
  [[nodiscard]] virtual std::vector<detail::actor::State*> begin(detail::actor::Link& link) = 0;
  /// Not abandoned.
  [[nodiscard]] virtual bool is_wanted() const noexcept = 0;
  [[nodiscard]] virtual bool has_outcome() noexcept = 0;
  [[nodiscard]] virtual bool is_settled() const noexcept = 0;
  /// The token goes away before there is an outcome: the state is the link's.
  virtual void abandon() noexcept = 0;
  /// Decodes, once there is an outcome.
  virtual void look() = 0;
};

template <class R, class StateOfR>
class CallOf final : public Call {
 public:
  explicit CallOf(std::unique_ptr<StateOfR> state) : state_(std::move(state)) {}

  [[nodiscard]] std::vector<detail::actor::State*> begin(detail::actor::Link& link) override {
    state_->attach(link);
    state_->entry = &detail::wire::batch_entry;
    state_->set_phase(detail::actor::State::Phase::pending);
    return {state_.get()};
  }
  [[nodiscard]] bool is_wanted() const noexcept override { return state_ != nullptr; }
  [[nodiscard]] bool has_outcome() noexcept override { return state_->has_outcome(); }
  [[nodiscard]] bool is_settled() const noexcept override {
    return state_->phase() == detail::actor::State::Phase::settled;
  }
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

inline void touch(const detail::actor::NoValue&) {}

/// Calls of a group, whose workers' parts all come to this parent.
template <class R, bool collected>
class GatherOf final : public Call {
  using State = detail::actor::GatherState<R, collected>;

 public:
  static constexpr std::size_t workers = 2;
  static constexpr std::size_t calls = 5;

  GatherOf() {
    std::array<detail::actor::Link*, workers> links{};
    for (auto& link : links) link = new test::FakeLink(destroyed_);
    group_ = detail::actor::Group::make(links);
    state_.reset(new State(*group_, detail::actor::CallOrder(calls, workers)));
  }
  ~GatherOf() override {
    state_.reset();
    group_->release();
  }
  GatherOf(const GatherOf&) = delete;
  GatherOf& operator=(const GatherOf&) = delete;

  [[nodiscard]] std::vector<detail::actor::State*> begin(detail::actor::Link& /*link*/) override {
    detail::wire::Buffer message;
    detail::wire::begin_batch(message, calls);
    group_->submit_to_all(message, *state_);
    std::vector<detail::actor::State*> parts;
    for (std::size_t i = 0; i < workers; ++i) {
      parts.push_back((*state_)[i]);
      parts.back()->set_phase(detail::actor::State::Phase::pending);
    }
    return parts;
  }
  [[nodiscard]] bool is_wanted() const noexcept override { return state_ != nullptr; }
  [[nodiscard]] bool has_outcome() noexcept override { return state_->complete(); }
  [[nodiscard]] bool is_settled() const noexcept override {
    return state_->phase() == detail::actor::State::Phase::settled;
  }
  void abandon() noexcept override { state_.reset(); }
  void look() override {
    expect_value_or_error([&] { touch(state_->value()); });
  }

 private:
  static inline bool destroyed_ = false;  // abandoned parts keep their links for longer than this
  detail::actor::Group* group_;
  std::unique_ptr<State, detail::actor::Abandon> state_;
};

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

template <class R, bool collected = false>
std::unique_ptr<Call> make_gather() {
  return std::make_unique<GatherOf<R, collected>>();
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
    all.push_back(&make_batch<SharedArray<int>>);
    all.push_back(&make_batch<Ref<Notes>>);
    all.push_back(&make_gather<void>);
    all.push_back(&make_gather<int>);
    all.push_back(&make_gather<std::string>);
    all.push_back(&make_gather<Record, true>);
    all.push_back(&make_gather<SharedArray<int>>);
    all.push_back(&make_gather<Arrays, true>);
    return all;
  }();
  return makers;
}

}  // namespace apalis::fuzz
