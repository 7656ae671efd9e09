// SPDX-License-Identifier: BSL-1.0
#pragma once

// The nursery of the whole process, which apalis::ForkServer starts.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/options.hpp>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

namespace apalis::detail::backend {

class ProcessLink;

/// **Owns** the server's process. Shared by the handlers whose workers come from it.
/// **Threads:** any.
class WorkerServer {
 public:
  /// This process's; null if there is none.
  [[nodiscard]] static std::shared_ptr<WorkerServer> current();
  static void start();
  static void stop() noexcept;

  explicit WorkerServer(const sys::ForkLock& held);
  ~WorkerServer();
  WorkerServer(const WorkerServer&) = delete;
  WorkerServer& operator=(const WorkerServer&) = delete;

  /// To be held while a worker is ordered: the word about the last one is for one at a time.
  [[nodiscard]] std::unique_lock<std::mutex> turn() { return std::unique_lock{mutex_}; }
  [[nodiscard]] ProcessLink& link() const noexcept { return *link_; }
  /// False once it was stopped: handlers that it made workers for still refer to it.
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  /// Whether the hooks of that backend are in its memory.
  [[nodiscard]] bool knows(Backend backend) const noexcept {
    return static_cast<std::size_t>(backend) < backends_;
  }
  /// The code that its workers have.
  [[nodiscard]] const std::shared_ptr<const sys::ModuleMap>& modules() const noexcept {
    return modules_;
  }

 private:
  void end() noexcept;

  std::mutex mutex_;
  std::atomic<bool> open_{true};
  std::shared_ptr<const sys::ModuleMap> modules_;
  std::size_t backends_;  // when it was started
  ProcessLink* link_;
};

}  // namespace apalis::detail::backend
