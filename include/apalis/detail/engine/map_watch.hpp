// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is told of a map: its progress while it runs, a MapReport once it has ended.

#include <apalis/map_report.hpp>
#include <apalis/progress.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace apalis::detail::engine {

class EngineCore;

/// What one worker did for a map.
struct LaneCounts {
  std::uint64_t items = 0;
  std::uint64_t batches = 0;
  std::chrono::nanoseconds busy{0};    // in the callable, as it says
  std::chrono::nanoseconds active{0};  // with a batch under way
  std::uint64_t peak_memory = 0;
  std::uint32_t restarts = 0;
  pid_t pid = 0;
};

/// **Threads:** one. **Throws** what the user's progress callback throws.
class MapWatch {
 public:
  using Clock = std::chrono::steady_clock;

  MapWatch(EngineCore& core, std::optional<std::size_t> items);
  MapWatch(const MapWatch&) = delete;
  MapWatch& operator=(const MapWatch&) = delete;

  void set_name(std::string_view name) noexcept { name_ = name; }
  /// Items that are done.
  void advance(std::size_t items) { meter_.advance(items); }

  /// The map has ended: its report becomes the engine's. `batches`: their sizes, to be sorted.
  void finish(std::span<const LaneCounts> lanes, std::span<std::uint32_t> batches,
              Clock::time_point end);
  /// The same without workers.
  void finish_here();

 private:
  void begin_report(MapReport& report, Backend backend, Clock::time_point end) const;

  EngineCore& core_;
  ProgressMeter meter_;
  std::string_view name_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace apalis::detail::engine
