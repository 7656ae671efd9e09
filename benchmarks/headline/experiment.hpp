// SPDX-License-Identifier: BSL-1.0
#pragma once

// The headline experiment: tasks of many lengths, one and eight for each core, by every contestant.

#include <chrono>
#include <cstddef>
#include <vector>

#include "contestant.hpp"

namespace apalis::bench {

/// Of the repetitions.
struct Spread {
  double median;
  double lower_quartile;
  double upper_quartile;
};

/// One contestant at one length of task.
struct Point {
  Spread time;      ///< ns of a round
  Spread speed_up;  ///< the serial loop's time in the same repetition over this one's
};

/// All contestants at one length, in their order.
struct Series {
  std::chrono::nanoseconds task;
  std::vector<Point> points;
};

/// All lengths with so many objects a core.
struct Panel {
  std::size_t objects_a_core;
  std::vector<Contestant> contestants;
  std::vector<Series> series;
};

struct Plan {
  int repetitions;
  std::chrono::nanoseconds block;  ///< a repetition runs rounds for at least that long
  std::vector<std::chrono::nanoseconds> tasks;
  std::vector<std::size_t> objects_a_core;

  static Plan full();   ///< three minutes on two cores
  static Plan quick();  ///< for function only
};

/// Who follows the experiment while it runs.
class Audience {
 public:
  virtual ~Audience() = default;
  virtual void begin(const Panel& panel) = 0;
  /// The repetition that is next, of that many.
  virtual void next(const Panel& panel, std::chrono::nanoseconds task, int repetition, int of) = 0;
  /// The panel has one more series.
  virtual void measured(const Panel& panel) = 0;
};

std::vector<Panel> run_experiment(const Plan& plan, std::size_t cores, Audience& audience);

}  // namespace apalis::bench
