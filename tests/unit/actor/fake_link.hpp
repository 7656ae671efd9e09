// SPDX-License-Identifier: BSL-1.0
#pragma once

// A link that leads nowhere, for states that need one.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/state.hpp>
#include <utility>

namespace apalis::test {

class FakeLink final : public detail::actor::Link {
 public:
  static constexpr pid_t worker = 4242;

  /// `destroyed` tells when the last reference is gone.
  explicit FakeLink(bool& destroyed) : Link({.name = "fake"}), destroyed_(destroyed) {}

  void submit(const detail::wire::Buffer&, detail::actor::State&) override {}
  void post(const detail::wire::Buffer&) override {}
  void poll() override {}
  bool wait(detail::actor::State& state, detail::actor::Deadline) override {
    return state.has_outcome();
  }
  bool cancel(detail::actor::State&, Cancel) override { return false; }
  Counts counts() override { return {}; }
  void abandon(detail::actor::State&) noexcept override {}
  void drain() override {}
  void close() override {}
  void shut(bool) noexcept override {}
  void kill() override {}
  [[nodiscard]] bool alive() override { return true; }
  [[nodiscard]] pid_t pid() const noexcept override { return worker; }
  const detail::channel::Doorbell* begin_sleep() noexcept override { return nullptr; }
  void end_sleep() noexcept override {}

 private:
  ~FakeLink() override { destroyed_ = true; }
  bool& destroyed_;
};

/// A state of no particular type.
class FakeState final : public detail::actor::State {
 public:
  FakeState() noexcept = default;
};

}  // namespace apalis::test
