// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an Engine has between its maps, and what all of them need: no templates.

#include <apalis/detail/engine/map_options.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/engine/pace.hpp>
#include <apalis/detail/engine/pool.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/map_report.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace apalis::detail::engine {

/// **Owns** the pool. **Threads:** any. **Fork:** works only in the process that made it.
class EngineCore {
 public:
  /// Throws Error for a number of workers below 1, and for what is wrong in APALIS_WORKERS.
  EngineCore(Backend backend, EngineOptions options);
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;
  ~EngineCore();

  [[nodiscard]] Backend backend() const noexcept { return backend_; }
  [[nodiscard]] const EngineOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::size_t workers() const noexcept { return workers_; }

  /// Whether maps run in the calling thread: without workers, or in a batch of another map.
  [[nodiscard]] bool runs_here() const noexcept;
  /// Where they do, this has what they keep; start hooks have been run. A nested map has one of its
  /// own.
  [[nodiscard]] std::shared_ptr<Seat> seat();
  /// Throws Error in a fork.
  [[nodiscard]] Pool& pool();
  /// Workers for one map, forked from what this process is now.
  [[nodiscard]] std::unique_ptr<Pool> make_carried_pool() const;

  /// `length`: of the items, where that is known. Throws Error where it has to be and is not.
  /// `are_small`: see MapOrder.
  [[nodiscard]] Pace pace(const MapOptions& options, std::optional<std::size_t> length,
                          bool are_small) const;

  void add_start(std::function<void()> hook);
  void add_stop(std::function<void()> hook);
  void end_idle();
  void close();
  /// In all workers that there are.
  void drop_state(std::uint64_t id) noexcept;

  /// use(report), of the map before.
  template <class Use>
  void update_report(Use use) {
    const std::lock_guard lock{mutex_};
    use(report_);
  }
  /// For the load guard: what the workers did from `from` to `to`. Of short maps, of many together.
  void note_work(double busy_seconds, MapWatch::Clock::time_point from,
                 MapWatch::Clock::time_point to);
  [[nodiscard]] MapReport report() const;

 private:
  void stop_here();

  const Backend backend_;
  const EngineOptions options_;
  const std::size_t workers_;
  Hooks hooks_;
  std::unique_ptr<Pool> pool_;
  mutable std::mutex mutex_;    // of what follows
  std::shared_ptr<Seat> seat_;  // null until a map runs here
  bool is_started_ = false;
  MapReport report_;
  double unnoted_seconds_ = 0;
};

/// How many workers `options` ask for.
[[nodiscard]] std::size_t worker_count(const EngineOptions& options);

}  // namespace apalis::detail::engine
