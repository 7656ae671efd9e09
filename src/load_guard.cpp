// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/load.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/error.hpp>
#include <apalis/load_guard.hpp>
#include <string>

namespace apalis {
namespace {

/// Workers that wait inside a call are among these: they hide as many others.
int running_workers() {
  const auto held = detail::sys::lock_forks();
  const auto* const region = detail::channel::Region::existing(held);
  return region == nullptr ? 0 : region->occupancy().awake();
}

}  // namespace

LoadOfOthers load_of_others() {
  const auto seen = detail::sys::load_watch().look(
      {.running_workers = running_workers(), .cpu_seconds = detail::sys::process_cpu_seconds()},
      std::chrono::steady_clock::now());
  return {.average = seen.average, .now = seen.now};
}

bool machine_is_busy(double max_load_average) {
  if (!(max_load_average >= 0))
    throw Error("apalis: max_load_average must be a number that is not negative, not " +
                std::to_string(max_load_average));
  const auto load = load_of_others();
  return std::max(load.average, load.now) > max_load_average;
}

void detail::note_own_work(double busy_seconds, std::chrono::steady_clock::time_point from,
                           std::chrono::steady_clock::time_point to) {
  sys::load_watch().note_workers(busy_seconds, from, to);
}

}  // namespace apalis
