// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/sys/usage.hpp>
#include <utility>

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

}  // namespace

MapWatch::MapWatch(EngineCore& core, std::optional<std::size_t> items)
    : core_(core), meter_(core.options().progress) {
  meter_.start(items, start_);
}

void MapWatch::finish(std::span<const LaneCounts> lanes) {
  const auto end = Clock::now();
  meter_.finish(end);
  const std::chrono::nanoseconds wall = end - start_;
  MapReport report;
  report.name = name_;
  report.backend = core_.backend();
  report.items = meter_.done();
  report.wall_seconds = seconds(wall);
  for (std::size_t i = 0; i < lanes.size(); ++i)
    if (lanes[i].batches != 0 || lanes[i].restarts != 0)
      report.workers.push_back(worker_report(i, lanes[i], wall));
  if (lanes.empty()) {
    report.backend = Backend::serial;
    LaneCounts caller{.items = report.items, .batches = 1, .busy = wall, .active = wall};
    caller.peak_memory = sys::peak_memory();
    report.workers.push_back(worker_report(0, caller, wall));
    batches_.assign(1, static_cast<std::uint32_t>(report.items));
  } else if (capabilities(report.backend).isolates) {
    core_.note_work(report.busy_seconds(), start_, end);
  }
  report.batches = batches_.size();
  if (!batches_.empty()) {
    const auto middle = batches_.begin() + static_cast<std::ptrdiff_t>(batches_.size() / 2);
    std::nth_element(batches_.begin(), middle, batches_.end());
    report.median_batch = *middle;
    const auto [smallest, largest] = std::minmax_element(batches_.begin(), batches_.end());
    report.smallest_batch = *smallest;
    report.largest_batch = *largest;
  }
  core_.set_report(std::move(report));
}

}  // namespace apalis::detail::engine
