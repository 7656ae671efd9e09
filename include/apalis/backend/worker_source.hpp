// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where a link's workers come from: from the fork server, if there is one; else the first from a
// fork of this process, the later ones from a spare child that was forked at the same moment.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/process/child.hpp>
#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/options.hpp>
#include <cstdint>
#include <memory>

namespace apalis::detail::backend {

class ProcessLink;
class WorkerServer;

/// **Owns** the spare child, if the options ask for one.
/// **Threads:** one at a time.
/// **Fork:** of the process that made it; elsewhere forget() it.
class WorkerSource {
 public:
  /// `options`: the link's own, which outlive this.
  WorkerSource(const Options& options, channel::Region& region, std::uint32_t slice) noexcept
      : options_(options), region_(region), slice_(slice) {}
  WorkerSource(const WorkerSource&) = delete;
  WorkerSource& operator=(const WorkerSource&) = delete;
  ~WorkerSource() { close(); }

  /// Before first(): lets the fork server make the workers, if there is one and the object can be
  /// sent. Throws Error where it can't and this process, having threads, should not be forked either.
  void use_server(const actor::Maker& maker);
  /// The code that the workers have.
  [[nodiscard]] std::shared_ptr<const sys::ModuleMap> modules(const sys::ForkLock& held) const;

  /// The first worker. `maker` is used in children only, and not after this returns. Throws
  /// SystemError; WorkerDied of the fork server; Error where Options::fork_in_threads refuses.
  [[nodiscard]] process::Child first(actor::Maker& maker, const sys::ForkLock& held);

  /// Another one, on the same slice. **Blocks** for a fork. Throws SystemError; WorkerDied if the
  /// spare child has died; TimedOut if it does not answer.
  [[nodiscard]] process::Child next(std::uint32_t generation);

  /// Whether next() can be called.
  [[nodiscard]] bool has_next() const noexcept;

  /// Ends the spare child.
  void close() noexcept;
  /// In a fork: leaves it to the process that it belongs to.
  void forget() noexcept { nursery_ = nullptr; }

 private:
  [[nodiscard]] process::Child spawn(ProcessLink& nursery, std::uint32_t generation);
  [[nodiscard]] pid_t order_worker(ProcessLink& nursery, std::uint32_t generation);
  [[nodiscard]] process::LaunchPlan plan() const;
  [[nodiscard]] std::uint64_t max_calls() const noexcept;

  const Options& options_;
  channel::Region& region_;
  std::uint32_t slice_;
  ProcessLink* nursery_ = nullptr;
  std::shared_ptr<WorkerServer> server_;
  actor::Recipe recipe_;  // for the server
  void (*destroy_)(void*) noexcept = nullptr;
};

}  // namespace apalis::detail::backend
