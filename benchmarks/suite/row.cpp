// SPDX-License-Identifier: BSL-1.0
#include "row.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "ping_pong.hpp"

namespace apalis::bench {

bool RowResult::cores_shared() const {
  return fastest_ping_pong < shared_core_ping_pong;
}
bool RowResult::busy() const {
  return slowest_ping_pong > busy_ping_pong;
}

RowResult measure(const Row& row, const Effort& effort) {
  RowResult result{};
  for (int attempt = 0; attempt < 3; ++attempt) {
    const double before = ping_pong_now();
    result.measured = row.measure(effort);
    const double after = ping_pong_now();
    std::tie(result.fastest_ping_pong, result.slowest_ping_pong) = std::minmax(before, after);
    if (!row.needs_two_cores || !result.cores_shared()) break;
  }
  return result;
}

Verdict judge(const Row& row, const RowResult& result) {
  const Target& target = row.target;
  const Measured& measured = result.measured;
  if (!target.must && !target.aim) return Verdict::none;
  if (row.needs_two_cores && (result.cores_shared() || result.busy())) return Verdict::meaningless;

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
  for (auto* group : {call_rows, throughput_rows, await_rows, barrier_rows, group_rows,
                      creation_rows, payload_rows, shared_rows, footprint_rows, supervision_rows,
                      break_even_rows, speedup_rows, engine_rows, load_rows}) {
    for (Row& row : group()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace apalis::bench
