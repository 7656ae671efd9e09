// SPDX-License-Identifier: BSL-1.0
#pragma once

// The link without a worker: calls run in the caller, inside submit(). What Backend::serial is
// made of. Arguments and results are encoded all the same, so that a program behaves alike.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <mutex>

namespace apalis::detail::backend {

using actor::Deadline;
using actor::Link;
using actor::Maker;
using actor::State;
using actor::PostFailures;
using actor::Until;

/// Whether this thread runs a call of this backend: then nobody comes whom the call waits for.
[[nodiscard]] bool in_serial_call() noexcept;

/// **Owns** the object.
/// **Threads:** any; calls on one object run one at a time.
/// **Blocks:** for as long as the call takes.
class SerialLink final : public actor::LockedSource<Link> {
 public:
  [[nodiscard]] static Link* open(const Options& options, Maker& maker);

  void publish(const wire::Buffer& message, State& state) override;
  void wake_worker() noexcept override {}
  bool is_on_this_core() const noexcept override { return true; }
  void post(const wire::Buffer& message) override;
  void poll() override {}
  bool drive(const Until& until, Deadline deadline) override;
  bool cancel(State& state, Cancel how) override;
  void drain() override;
  void close() override;
  void begin_close(bool /*discard*/) noexcept override {}
  void shut(bool discard, Deadline deadline) noexcept override;
  void kill() override;
  bool alive() override;
  pid_t pid() const noexcept override;
  Counts counts() override { return {}; }
  void begin_sleep(channel::Bells& /*bells*/) noexcept override {}
  void end_sleep() noexcept override {}

 private:
  using CallLock = std::unique_lock<std::recursive_mutex>;  // a call may call its own object again

  SerialLink(const Options& options, Maker& maker);
  ~SerialLink() override;

  void require_open() const;
  void destroy() noexcept;
  [[nodiscard]] std::exception_ptr take_failures();

  void wake_waiters() noexcept override {}
  void note_awaited() override { join_agenda(); }

  std::recursive_mutex calls_;
  actor::Residence residence_;
  void (*destroy_)(void*) noexcept;
  std::exception_ptr construction_error_;
  bool open_ = true;
  std::uint64_t failed_posts_ = 0;
  PostFailures failures_;
};

}  // namespace apalis::detail::backend
