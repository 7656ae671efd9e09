// SPDX-License-Identifier: BSL-1.0
#include "engine_probes.hpp"

#include <sys/resource.h>

#include <apalis/engine.hpp>
#include <cstdint>
#include <ranges>

#include "stopwatch.hpp"

namespace apalis::bench {
namespace {

double peak_in_mb() {
  rusage usage{};
  (void)::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

double memory_of_imap(int items) {
  const Engine engine{Backend::processes, {.max_workers = 2}};
  const double before = peak_in_mb();
  std::uint64_t sum = 0;
  for (const std::uint64_t x : engine.imap([](int item) { return std::uint64_t{1} + item % 7; },
                                           std::views::iota(0) | std::views::take(items)))
    sum += x;
  keep(sum);
  return peak_in_mb() - before;
}

}  // namespace apalis::bench
