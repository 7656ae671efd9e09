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
#include <utility>

namespace apalis::detail::backend {

class ProcessLink;
class WorkerServer;

/// What the fork server is given to make a handler's workers.
struct ServerOrder {
  std::shared_ptr<WorkerServer> server;  // null: this process is forked instead
  actor::Recipe recipe;
};

/// Whether the fork server can make what `maker` makes, and how. To be asked with no lock held, for it
/// encodes the object. Throws Error where the server can't and this process, having threads, should
/// not be forked either.
[[nodiscard]] ServerOrder order_from_server(const Options& options, const actor::Maker& maker);

/// **Owns** the spare child, if the options ask for one.
/// **Threads:** one at a time.
/// **Fork:** of the process that made it; elsewhere forget() it.
class WorkerSource {
 public:
  /// `options`: the link's own, which outlive this.
  WorkerSource(const Options& options, channel::Region& region, std::uint32_t slice,
               ServerOrder order) noexcept
      : options_(options), region_(region), slice_(slice), order_(std::move(order)) {}
  WorkerSource(const WorkerSource&) = delete;
  WorkerSource& operator=(const WorkerSource&) = delete;
  ~WorkerSource() { close(); }

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

  /// Whether first() forked this process though it had other threads.
  [[nodiscard]] bool has_forked_threads() const noexcept { return forked_threads_; }

  /// Ends the spare child.
  void close() noexcept;
  /// In a fork: leaves it to the process that it belongs to.
  void forget() noexcept { nursery_ = nullptr; }

 private:
  [[nodiscard]] process::Child spawn(ProcessLink& nursery, std::uint32_t generation);
  [[nodiscard]] pid_t spawned_pid(ProcessLink& nursery, const wire::Buffer& message);
  [[nodiscard]] process::LaunchPlan plan() const;
  [[nodiscard]] bool replaces() const noexcept;
  [[nodiscard]] std::uint64_t max_calls() const noexcept;

  const Options& options_;
  channel::Region& region_;
  std::uint32_t slice_;
  ServerOrder order_;
  void (*destroy_)(void*) noexcept = nullptr;  // of the maker, as the next four
  bool of_many_ = false;
  std::uint32_t worker_ = 0;
  std::chrono::milliseconds idle_limit_{0};
  const wire::Entry* last_words_ = nullptr;
  ProcessLink* nursery_ = nullptr;
  bool forked_threads_ = false;
};

/// Says once in this process that it was forked though it had threads.
void warn_of_threads() noexcept;

}  // namespace apalis::detail::backend
