// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an Engine has between its maps, and what all of them need: no templates.

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

/// What one map was told beside its callable, items and arguments.
struct MapOptions {
  std::optional<Batched> batched;
  std::optional<BatchSize> batch_size;
  std::optional<Length> length;
  std::uint32_t retries = 0;
  bool deterministic = false;

  void set(Batched value) noexcept { batched = value; }
  void set(BatchSize value) noexcept { batch_size = value; }
  void set(Length value) noexcept { length = value; }
  void set(Retries value) noexcept { retries = value.count; }
  void set(Deterministic /*value*/) noexcept { deterministic = true; }

  [[nodiscard]] std::optional<std::size_t> most_items() const noexcept {
    return length ? std::optional{length->items} : std::nullopt;
  }
};

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
  [[nodiscard]] Pace pace(const MapOptions& options, std::optional<std::size_t> length) const;

  void add_start(std::function<void()> hook);
  void add_stop(std::function<void()> hook);
  void end_idle();
  void close();

  void set_report(MapReport report);
  [[nodiscard]] MapReport report() const;

 private:
  const Backend backend_;
  const EngineOptions options_;
  const std::size_t workers_;
  Hooks hooks_;
  std::unique_ptr<Pool> pool_;
  mutable std::mutex mutex_;    // of what follows
  std::shared_ptr<Seat> seat_;  // null until a map runs here
  bool is_started_ = false;
  MapReport report_;
};

/// How many workers `options` ask for.
[[nodiscard]] std::size_t worker_count(const EngineOptions& options);

[[noreturn]] void throw_moved_from();

}  // namespace apalis::detail::engine
