// SPDX-License-Identifier: BSL-1.0
#pragma once

// A row of the suite: one figure, the reference beside it, and what it has to reach.

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "interleave.hpp"

namespace apalis::bench {

enum class Better { lower, higher };

/// What the figure has to reach. Nothing set: the row informs.
struct Target {
  enum class Judged { ratio, value };
  std::optional<double> must = {};
  std::optional<double> aim = {};
  Judged judged = Judged::ratio;
  std::optional<double> must_excess = {};  ///< or: value - reference at most this
};

struct Measured {
  double value;
  double reference_value;
  std::optional<double> p99 = {};
  std::optional<double> reference_p99 = {};

  [[nodiscard]] double ratio() const {
    return reference_value != 0 ? value / reference_value
                                : std::numeric_limits<double>::quiet_NaN();
  }
};

/// Both medians; for rows that time groups of events, where a percentile would mean nothing.
inline Measured medians(const Summary& value, const Summary& reference) {
  return {.value = value.median, .reference_value = reference.median};
}

/// Both medians and both 99th percentiles; for rows that time single events.
inline Measured medians_and_p99(const Summary& value, const Summary& reference) {
  return {value.median, reference.median, value.p99, reference.p99};
}

struct Row {
  std::string name;
  std::string what;       ///< one line for --list
  std::string reference;  ///< what stands beside it
  std::function<Measured(const Effort&)> measure;
  Target target = {};
  std::string unit = "ns";
  Better better = Better::lower;
  bool needs_two_cores = false;  ///< means nothing where the cores are busy or are one
};

/// A row's figures, and what a ping-pong before and after it says about the machine meanwhile.
struct RowResult {
  Measured measured;
  double fastest_ping_pong;
  double slowest_ping_pong;

  /// Both virtual cores shared a physical one: ratios between processes mean nothing.
  [[nodiscard]] bool cores_shared() const;
  /// Something else kept a core busy.
  [[nodiscard]] bool busy() const;
};

/// Measures a row, and again, a few times, where the cores were shared and the row needs two.
RowResult measure(const Row& row, const Effort& effort);

enum class Verdict { none, aim, must, missed, meaningless };
[[nodiscard]] Verdict judge(const Row& row, const RowResult& result);

/// The rows by subject, each group in a file of its own; all_rows() has them in order.
std::vector<Row> await_rows();
std::vector<Row> barrier_rows();
std::vector<Row> break_even_rows();
std::vector<Row> call_rows();
std::vector<Row> creation_rows();
std::vector<Row> engine_rows();
std::vector<Row> footprint_rows();
std::vector<Row> group_rows();
std::vector<Row> load_rows();
std::vector<Row> payload_rows();
std::vector<Row> shared_rows();
std::vector<Row> speedup_rows();
std::vector<Row> supervision_rows();
std::vector<Row> throughput_rows();
std::vector<Row> all_rows();

}  // namespace apalis::bench
