// SPDX-License-Identifier: BSL-1.0
#pragma once

// A link that leads nowhere, for states that need one.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/state.hpp>
#include <utility>

namespace apalis::test {

class FakeLink final : public detail::actor::LockedSource<detail::actor::Link> {
 public:
  static constexpr pid_t worker = 4242;

  /// `destroyed` tells when the last reference is gone.
  explicit FakeLink(bool& destroyed) : LockedSource(Options{.name = "fake"}), destroyed_(destroyed) {}

  void publish(const detail::wire::Buffer&, detail::actor::State&) override {}
  void wake_worker() noexcept override {}
  [[nodiscard]] bool is_on_this_core() const noexcept override { return false; }
  void post(const detail::wire::Buffer&) override {}
  void poll() override {}
  bool drive(const detail::actor::Until& until, detail::actor::Deadline) override {
    return until.reached();
  }
  bool cancel(detail::actor::State&, Cancel) override { return false; }
  Counts counts() override { return {}; }
  void drain() override {}
  void close() override {}
  void begin_close(bool) noexcept override {}
  void shut(bool, detail::actor::Deadline) noexcept override {}
  void kill() override {}
  [[nodiscard]] bool alive() override { return true; }
  [[nodiscard]] pid_t pid() const noexcept override { return worker; }
  void begin_sleep(detail::channel::Bells&) noexcept override {}
  void end_sleep() noexcept override {}

 private:
  ~FakeLink() override { destroyed_ = true; }
  void wake_waiters() noexcept override {}
  bool& destroyed_;
};

/// A state of no particular type.
class FakeState final : public detail::actor::State {
 public:
  FakeState() noexcept = default;
};

}  // namespace apalis::test
