// SPDX-License-Identifier: BSL-1.0
#pragma once

// How an Engine works, and how one of its maps does.
//
//   apalis::Engine engine{apalis::Backend::processes, {.max_workers = 4}};
//   engine.map(f, items, apalis::batch_size(64), apalis::retries(2));

#include <apalis/error.hpp>
#include <apalis/options.hpp>
#include <apalis/progress.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace apalis {

struct EngineOptions {
  /// How many workers there are at most; unset: APALIS_WORKERS if that is set, else cpu_count().
  /// With 1, calls run in the caller's own thread and no worker is made, unless the backend is a
  /// registered one.
  std::optional<int> max_workers = std::nullopt;

  /// Whether and how maps say how far they are: false, true (a bar on a terminal, lines in a pipe), or a
  /// callable that takes a const ProgressReport&.
  Progress progress = false;

  /// What ps and top show after "apalis: ".
  std::string name = "engine";

  /// A worker that had nothing to do for that long ends: a process by itself, whatever this program
  /// does meanwhile; a thread when the engine is next used or end_idle_workers() is called. Zero:
  /// never.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds{10};

  // As in Options, for each worker.
  std::chrono::milliseconds close_timeout = std::chrono::seconds{30};
  std::function<void(std::exception_ptr)> on_error = {};
  ForkInThreads fork_in_threads = ForkInThreads::warn;
  std::function<void(const WorkerExit&)> on_worker_exit = {};
};

/// The backend of that name: processes, threads, serial; also multiproc, concurrent, loky, fork
/// (processes) and multithread (threads), and what was registered. Throws Error for another one,
/// which says what there is.
[[nodiscard]] Backend backend_named(std::string_view name);

/// APALIS_BACKEND if that is set, else Backend::processes. Throws Error for an unknown one.
[[nodiscard]] Backend default_backend();

namespace detail::engine {
/// Throws Error, which names `what`, for numbers below 1.
[[nodiscard]] std::size_t positive(long long number, const char* what);
}  // namespace detail::engine

// --- Options of one map, among its arguments in any order -----------------------------------------

struct Batched {
  std::size_t count;  ///< 0: one for each worker
};
/// As many batches as there are workers, of equal sizes. Of a range that does not know its size,
/// length() has to say it.
[[nodiscard]] inline Batched batched() noexcept { return {0}; }
/// `count` batches of equal sizes. Throws Error below 1.
[[nodiscard]] inline Batched batched(long long count) {
  return {detail::engine::positive(count, "batched()")};
}

struct BatchSize {
  std::size_t items;
};
/// Batches of that many items. Throws Error below 1.
[[nodiscard]] inline BatchSize batch_size(long long items) {
  return {detail::engine::positive(items, "batch_size()")};
}

struct Length {
  std::size_t items;
};
/// How many items a range that does not know its size will give: at most so many are taken.
/// Throws Error below 0.
[[nodiscard]] inline Length length(long long items) {
  return {items == 0 ? 0 : detail::engine::positive(items, "length()")};
}

struct Retries {
  std::uint32_t count;
};
/// How often an item may be run again when its worker died while it ran, for calls that may be run
/// twice. The items around it are run again, too: they were lost with their batch.
[[nodiscard]] inline Retries retries(std::uint32_t count) noexcept { return {count}; }

struct Seeds {
  std::uint64_t base;
};
/// In place of an argument: each call gets a std::uint64_t of its own, which depends on `base` and
/// the item's index alone, not on workers or batches (SplitMix64: Steele, Lea and Flood, 2014).
[[nodiscard]] inline Seeds seeds(std::uint64_t base) noexcept { return {base}; }

/// The seed of item `index`.
[[nodiscard]] constexpr std::uint64_t item_seed(std::uint64_t base, std::uint64_t index) noexcept {
  std::uint64_t z = base + (index + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

struct Deterministic {};
/// Of map_reduce(): items are combined in the same groups and order whatever the workers and their
/// pace, so that rounding errors are the same in each run.
inline constexpr Deterministic deterministic{};

}  // namespace apalis
