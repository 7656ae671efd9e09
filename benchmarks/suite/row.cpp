// SPDX-License-Identifier: BSL-1.0
#include "row.hpp"

#include <utility>

namespace apalis::bench {

Verdict judge(const Row& row, const Measured& measured) {
  const Target& target = row.target;
  if (!target.must && !target.aim) return Verdict::none;
  const double figure = target.judged == Target::Judged::value ? measured.value : measured.ratio();
  const auto reached = [&](std::optional<double> bound) {
    if (!bound) return false;
    return row.better == Better::lower ? figure <= *bound : figure >= *bound;
  };
  if (reached(target.aim)) return Verdict::aim;
  if (reached(target.must)) return Verdict::must;
  const double excess = measured.value - measured.reference_value;
  if (target.must_excess && excess <= *target.must_excess) return Verdict::must;
  return Verdict::missed;
}

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (auto* group : {call_rows, creation_rows, footprint_rows, speedup_rows, throughput_rows}) {
    for (Row& row : group()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace apalis::bench
