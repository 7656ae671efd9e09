// SPDX-License-Identifier: BSL-1.0
// Rows of workers that wait for each other.

#include <apalis/apalis.hpp>
#include <apalis/shared_array.hpp>
#include <atomic>
#include <optional>

#include "ping_pong.hpp"
#include "row.hpp"

namespace apalis::bench {
namespace {

using Word = SharedArray<std::uint32_t>;

struct Partner {
  /// Keeps in step until it is told to end, before its last step.
  void step(const Barrier& barrier, Word ends) {
    do barrier.arrive_and_wait();
    while (std::atomic_ref(ends[0]).load(std::memory_order_relaxed) == 0);
  }
};

/// Phases in a row with a worker that does nothing else either.
Measured barrier_2(const Effort& effort) {
  PingPong ping_pong;
  Handler<Partner> handler;
  const Barrier barrier(2);
  const Word ends(1);
  std::optional<Token<void>> running;
  const Side phases{.sample = [&] { return timed(1, [&] { barrier.arrive_and_wait(); }); },
                    .begin =
                        [&] {
                          ends[0] = 0;
                          running = handler.call(&Partner::step, barrier, ends);
                        },
                    .end =
                        [&] {
                          std::atomic_ref(ends[0]).store(1, std::memory_order_relaxed);
                          barrier.arrive_and_wait();
                          running->get();
                        }};
  const auto [value, reference] = interleave(effort, phases, ping_pong.side());
  return medians_and_p99(value, reference);
}

}  // namespace

std::vector<Row> barrier_rows() {
  return {
      {.name = "barrier_2",
       .what = "a phase of a Barrier for the caller and one worker, both doing nothing else",
       .reference = "ping-pong",
       .measure = barrier_2,
       .needs_two_cores = true},
  };
}

}  // namespace apalis::bench
