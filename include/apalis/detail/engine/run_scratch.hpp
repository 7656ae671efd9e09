// SPDX-License-Identifier: BSL-1.0
#pragma once

// The room that a run needs: kept from one to the next, so that a short one allocates nothing.

#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/engine/pool.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace apalis::detail::engine {

/// A run's share of one worker.
struct Lane {
  LinkPointer link;
  OwnedPart frame;  // the message that set it up
  bool is_set_up = false;
  bool refused = false;  // by the system
  bool leaves = false;   // its worker ends, and has not yet given back what it has not begun
  std::uint32_t flying = 0;
  actor::Clock::time_point active_since;  // if it has any
  actor::Clock::time_point head_since;    // it has been at the first of them, at most
  std::uint64_t looked_at = 0;            // by which of Run::share()'s looks

  void forget_worker() noexcept {
    link = {};
    frame.reset();
    is_set_up = leaves = false;
  }
};

/// **Owns** the batches of a run. Empty between two runs, but for what is there to be used again.
struct RunScratch {
  std::vector<Lane> lanes;
  std::vector<LaneCounts> counts;
  std::vector<std::uint32_t> sizes;           // of the batches that came back
  std::deque<std::unique_ptr<Batch>> batches;  // that were not consumed, in order
  std::vector<Batch*> flying;                  // of them, in the order of their sending
  std::vector<Batch*> landed;                  // and came back just now
  std::vector<std::unique_ptr<Batch>> spare;
  std::vector<actor::Source*> sources;  // to wait for

  void begin(std::size_t workers) {
    lanes.resize(workers);
    counts.assign(workers, {});
  }
  /// Little stays, of however large a run.
  void end() noexcept;
};

}  // namespace apalis::detail::engine
