// SPDX-License-Identifier: BSL-1.0
// Rows of what handlers cost while they do nothing: memory and CPU, measured in fresh processes.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "probe.hpp"
#include "row.hpp"

namespace apalis::bench {
namespace {

/// Zero to three digits: the parent that sleeps and reads the clocks is part of the figure.
constexpr double nothing = 0.0005;

Measured pss(int children, const Effort& effort) {
  std::vector<double> handlers, bare;
  for (int round = 0; round < effort.rounds; round += 8) {
    handlers.push_back(probe("pss", children));
    bare.push_back(probe("pss_bare", children));
  }
  return {.value = median(handlers), .reference_value = median(bare)};
}

Measured idle_cpu(const Effort& effort) {
  constexpr int handlers = 100;
  if (effort.quick) return {.value = probe("idle_briefly", handlers), .reference_value = 0.1};
  std::vector<double> used(3);
  std::generate(used.begin(), used.end(), [] { return probe("idle", handlers); });
  return {.value = median(used), .reference_value = 2.0};
}

Row pss_row(std::string name, std::string what, int children) {
  return {.name = std::move(name),
          .what = std::move(what),
          .reference = "idle forked child",
          .measure = [children](const Effort& effort) { return pss(children, effort); },
          .target = {.must = 200, .aim = 100, .judged = Target::Judged::value},
          .unit = "kB"};
}

}  // namespace

std::vector<Row> footprint_rows() {
  return {
      pss_row("pss_child", "memory of a child: proportional share, mean of 100 live ones", 100),
      pss_row("pss_only_child", "the same of an only child, which bears half of all shared pages",
              1),
      {.name = "idle_cpu",
       .what = "CPU time of 100 idle handlers and their parent in 2 s",
       .reference = "one core",
       .measure = idle_cpu,
       .target = {.must = 0.01, .aim = nothing},
       .unit = "s"},
  };
}

}  // namespace apalis::bench
