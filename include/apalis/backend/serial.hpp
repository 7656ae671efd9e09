// SPDX-License-Identifier: BSL-1.0
#pragma once

// The link without a worker: calls run in the caller, inside submit(). What Backend::serial is
// made of. Arguments and results are encoded all the same, so that a program behaves alike.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <mutex>

namespace apalis::detail::backend {

using actor::Deadline;
using actor::Link;
using actor::Maker;
using actor::State;
using actor::PostFailures;

/// **Owns** the object.
/// **Threads:** any; calls on one object run one at a time.
/// **Blocks:** for as long as the call takes.
class SerialLink final : public Link {
 public:
  [[nodiscard]] static Link* open(const Options& options, Maker& maker);

  void submit(const wire::Buffer& message, State& state) override;
  void post(const wire::Buffer& message) override;
  void poll() override {}
  bool wait(State& state, Deadline deadline) override;
  bool cancel(State& state, Cancel how) override;
  void abandon(State& state) noexcept override;
  void drain() override;
  void close() override;
  void shut(bool discard) noexcept override;
  void kill() override;
  bool alive() override;
  pid_t pid() const noexcept override;
  Counts counts() override { return {}; }
  const channel::Doorbell* begin_sleep() noexcept override { return nullptr; }
  void end_sleep() noexcept override {}

 private:
  using Lock = std::unique_lock<std::recursive_mutex>;  // a call may call its own object again

  SerialLink(const Options& options, Maker& maker);
  ~SerialLink() override;

  void require_open() const;
  void invoke(const wire::Buffer& message, wire::Buffer& result) const;
  void destroy() noexcept;
  [[nodiscard]] std::exception_ptr take_failures();

  std::recursive_mutex mutex_;
  void* object_ = nullptr;
  void (*destroy_)(void*) noexcept;
  std::exception_ptr construction_error_;
  bool open_ = true;
  std::uint64_t failed_posts_ = 0;
  PostFailures failures_;
};

}  // namespace apalis::detail::backend
