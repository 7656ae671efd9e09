// SPDX-License-Identifier: BSL-1.0
// Rows of speed-up: two handlers share tasks that one loop would do alone.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <string>

#include "bare_pair.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// So many rounds of that length that they fill a block, and that starting them costs nothing.
int rounds_in(nanoseconds block, nanoseconds round) {
  return static_cast<int>(std::max<nanoseconds::rep>(2, block / round));
}

Measured speedup(nanoseconds task, const Effort& effort) {
  // One sample fills a block, so it is a mean over rounds: what collapses in between counts.
  const Effort one_sample = {std::max(2, effort.rounds / 2), 0ns, 0ns, effort.quick};
  const std::uint64_t steps = steps_lasting(task);
  const int serial_rounds = rounds_in(effort.block, 2 * task);
  const int handler_rounds = rounds_in(effort.block, std::max<nanoseconds>(2 * task, 1us));
  const int bare_rounds = rounds_in(effort.block, task);

  BarePair pair;
  Handler<Worker> first, second;
  const Side serial_loop{.sample = [&] {
    return timed(serial_rounds, [&] {
      for (int done = 0; done < 2 * serial_rounds; ++done) keep(run_kernel(steps));
    });
  }};
  const Side two_handlers{.sample = [&] {
    return timed(handler_rounds, [&] {
      for (int round = 0; round < handler_rounds; ++round) {
        auto one = first.call(&Worker::work, steps);
        auto two = second.call(&Worker::work, steps);
        keep(one.get());
        keep(two.get());
      }
    });
  }};
  const Side bare_processes{.sample = [&] {
    return timed(bare_rounds, [&] { pair.run(static_cast<std::uint64_t>(bare_rounds), steps); });
  }};

  const auto [serial, handlers, bare] =
      interleave(one_sample, serial_loop, two_handlers, bare_processes);
  return {.value = serial.median / handlers.median, .reference_value = serial.median / bare.median};
}

Row speedup_row(const std::string& length, nanoseconds task) {
  return {.name = "speedup_vs_serial/" + length,
          .what = "2 handlers, a task of " + length + " each per round, against a serial loop",
          .reference = "2 bare processes",
          .measure = [task](const Effort& effort) { return speedup(task, effort); },
          .unit = "x",
          .better = Better::higher,
          .needs_two_cores = true};
}

}  // namespace

std::vector<Row> speedup_rows() {
  return {
      speedup_row("100ns", 100ns), speedup_row("300ns", 300ns), speedup_row("1us", 1us),
      speedup_row("3us", 3us),     speedup_row("10us", 10us),   speedup_row("30us", 30us),
      speedup_row("100us", 100us), speedup_row("1ms", 1ms),     speedup_row("10ms", 10ms),
  };
}

}  // namespace apalis::bench
