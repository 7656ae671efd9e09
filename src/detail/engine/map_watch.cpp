// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/sys/usage.hpp>
#include <array>

namespace apalis::detail::engine {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

WorkerReport worker_report(std::size_t index, const LaneCounts& lane, std::chrono::nanoseconds wall) {
  const auto active = std::min(lane.active, wall);
  const auto busy = std::min(lane.busy, active);
  return {.index = static_cast<std::uint32_t>(index),
          .pid = lane.pid,
          .items = static_cast<std::size_t>(lane.items),
          .batches = static_cast<std::size_t>(lane.batches),
          .busy_seconds = seconds(busy),
          .idle_seconds = seconds(wall - active),
          .overhead_seconds = seconds(active - busy),
          .peak_memory_bytes = static_cast<std::size_t>(lane.peak_memory),
          .restarts = lane.restarts};
}

void tell_batches(MapReport& report, std::span<std::uint32_t> sizes) {
  report.batches = sizes.size();
  report.smallest_batch = report.median_batch = report.largest_batch = 0;
  if (sizes.empty()) return;
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  report.median_batch = *middle;
  const auto [smallest, largest] = std::minmax_element(sizes.begin(), sizes.end());
  report.smallest_batch = *smallest;
  report.largest_batch = *largest;
}

}  // namespace

MapWatch::MapWatch(EngineCore& core, std::optional<std::size_t> items)
    : core_(core), meter_(core.options().progress) {
  meter_.start(items, start_);
}

void MapWatch::finish(std::span<const LaneCounts> lanes, std::span<std::uint32_t> batches,
                      Clock::time_point end) {
  meter_.finish(end);
  double busy = 0;
  core_.update_report([&](MapReport& report) {
    begin_report(report, core_.backend(), end);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      if (lanes[i].batches == 0 && lanes[i].restarts == 0) continue;
      report.workers.push_back(worker_report(i, lanes[i], end - start_));
      busy += report.workers.back().busy_seconds;
    }
    tell_batches(report, batches);
  });
  if (core_.backend() == Backend::processes) core_.note_work(busy, start_, end);
}

void MapWatch::finish_here() {
  const auto end = Clock::now();
  meter_.finish(end);
  const std::chrono::nanoseconds wall = end - start_;
  const LaneCounts caller{.items = meter_.done(),
                          .batches = 1,
                          .busy = wall,
                          .active = wall,
                          .peak_memory = sys::peak_memory()};
  std::array sizes{static_cast<std::uint32_t>(meter_.done())};
  core_.update_report([&](MapReport& report) {
    begin_report(report, Backend::serial, end);
    report.workers.push_back(worker_report(0, caller, wall));
    tell_batches(report, sizes);
  });
}

/// Its strings and vectors keep their memory from one map to the next.
void MapWatch::begin_report(MapReport& report, Backend backend, Clock::time_point end) const {
  report.name.assign(name_);
  report.backend = backend;
  report.items = meter_.done();
  report.wall_seconds = seconds(end - start_);
  report.workers.clear();
}

}  // namespace apalis::detail::engine
