// SPDX-License-Identifier: BSL-1.0
// Rows of making handlers.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <optional>
#include <vector>

#include "bare_fork.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using EchoHandler = Handler<Echo>;

/// Constructor to first result; the destructor is outside the time.
double create_and_call(std::optional<EchoHandler>& handler) {
  handler.reset();
  return timed(1, [&] { keep(handler.emplace().call(&Echo::f, 1).get()); });
}

Measured create_first_reply(const Effort& effort) {
  std::optional<EchoHandler> handler;
  const auto [value, reference] = interleave(
      effort,
      Side{.sample = [&] { return create_and_call(handler); }, .end = [&] { handler.reset(); }},
      fork_exit_wait());
  return medians_and_p99(value, reference);
}

Measured create_only(const Effort& effort) {
  const Side create{.sample = [] {
    std::optional<EchoHandler> handler;
    return timed(1, [&] { handler.emplace(); });
  }};
  const auto [value, reference] = interleave(effort, create, bare_fork());
  return medians_and_p99(value, reference);
}

/// The 295th to 305th live handler beside the 1st to 10th, in several rounds.
Measured create_300th(const Effort& effort) {
  constexpr std::size_t live = 305;
  constexpr std::size_t first_late = 294;
  constexpr std::size_t last_early = 9;

  std::vector<double> early, late;
  EchoHandler warm_up;
  warm_up.call(&Echo::f, 1).get();
  const int rounds = std::max(1, effort.rounds / 4);
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::optional<EchoHandler>> handlers(live);
    std::vector<double> early_now, late_now;
    for (std::size_t i = 0; i < live; ++i) {
      const double nanoseconds = create_and_call(handlers[i]);
      if (i <= last_early) early_now.push_back(nanoseconds);
      if (i >= first_late) late_now.push_back(nanoseconds);
    }
    early.push_back(median(early_now));
    late.push_back(median(late_now));
  }
  return {.value = median(late), .reference_value = median(early)};
}

}  // namespace

std::vector<Row> creation_rows() {
  return {
      {.name = "create_first_reply",
       .what = "constructor of a handler to its first result",
       .reference = "fork+exit+wait",
       .measure = create_first_reply,
       .target = {.must = 1.0, .aim = 0.7}},
      {.name = "create_only",
       .what = "constructor of a handler, as the parent sees it",
       .reference = "fork",
       .measure = create_only},
      {.name = "create_300th",
       .what = "constructor to first result of the 300th live handler",
       .reference = "1st handler",
       .measure = create_300th,
       .target = {.must = 1.5, .aim = 1.2}},
  };
}

}  // namespace apalis::bench
