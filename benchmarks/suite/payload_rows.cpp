// SPDX-License-Identifier: BSL-1.0
// Rows of large data: by value and borrowed.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "copy_pair.hpp"
#include "probe.hpp"
#include "row.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;

struct Taker {
  static double ends(std::span<const double> xs) { return xs.front() + xs.back(); }
  double take(std::vector<double> xs) { return ends(xs); }
  double look(std::span<const double> xs) { return ends(xs); }
  std::vector<double> echo(std::vector<double> xs) { return xs; }
};

/// Large samples take long enough to need no blocks of many.
Effort effort_for(std::size_t bytes, const Effort& effort) {
  constexpr std::size_t large = 4'000'000;
  if (bytes < large) return effort;
  return {std::max(2, effort.rounds / 2), effort.quick ? 0ns : 40ns, 0ns, effort.quick};
}

/// Bandwidths in GB/s; `copies`: how often the reference's bytes go the same way.
template <class Call>
Measured payload(const Effort& effort, std::size_t bytes, int copies, Call call) {
  std::vector<double> source(bytes / sizeof(double), 1.0);
  Handler<Taker> handler;
  CopyPair pair{source.size()};
  for (int i = 0; i < 3; ++i) keep(call(handler, source));  // its memory is warm now
  const Side calls{.sample = [&] {
    make_dirty(source);
    return timed(1, [&] { keep(call(handler, source)); });
  }};
  const auto [value, reference] = interleave(effort_for(bytes, effort), calls, pair.side());
  const auto all = static_cast<double>(bytes);
  return {.value = all / value.median, .reference_value = all / (copies * reference.median)};
}

/// Every sample by a worker that has received nothing before.
Measured cold(const Effort& effort, std::size_t bytes) {
  std::vector<double> source(bytes / sizeof(double), 1.0);
  CopyPair pair{source.size()};
  const Side calls{.sample = [&] {
    Handler<Taker> handler;
    keep(handler.call(&Taker::look, std::span<const double>(source).first(1)).get());
    make_dirty(source);
    return timed(1, [&] { keep(handler.call(&Taker::take, source).get()); });
  }};
  const auto [value, reference] = interleave(effort_for(bytes, effort), calls, pair.side());
  const auto all = static_cast<double>(bytes);
  return {.value = all / value.median, .reference_value = all / reference.median};
}

Row row(std::string name, std::string what, std::function<Measured(const Effort&)> measure,
        Target target = {}) {
  return {.name = std::move(name),
          .what = std::move(what),
          .reference = "memcpy of the same bytes by a process on the other core",
          .measure = std::move(measure),
          .target = target,
          .unit = "GB/s",
          .better = Better::higher,
          .needs_two_cores = true};
}

}  // namespace

std::vector<Row> payload_rows() {
  const auto by_value = [](std::size_t bytes) {
    return [=](const Effort& effort) {
      return payload(effort, bytes, 1, [](auto& handler, const auto& source) {
        return handler.call(&Taker::take, source).get();
      });
    };
  };
  const auto by_span = [](std::size_t bytes) {
    return [=](const Effort& effort) {
      return payload(effort, bytes, 1, [](auto& handler, const auto& source) {
        return handler.call(&Taker::look, source).get();
      });
    };
  };
  const auto echo = [](std::size_t bytes) {
    return [=](const Effort& effort) {
      return payload(effort, bytes, 2, [](auto& handler, const auto& source) {
        return handler.call(&Taker::echo, source).get();
      });
    };
  };
  const auto cold_value = [](std::size_t bytes) {
    return [=](const Effort& effort) { return cold(effort, bytes); };
  };
  constexpr std::size_t k = 1'000;
  constexpr std::size_t m = 1'000'000;
  const Target value{.must = 0.65, .aim = 0.85};
  const Target span{.must = 0.8, .aim = 0.95};
  return {
      row("payload_80k", "a std::vector<double> of 80 kB by value", by_value(80 * k)),
      row("payload_800k", "the same of 800 kB", by_value(800 * k), value),
      row("payload_8M", "the same of 8 MB", by_value(8 * m), value),
      row("payload_80M", "the same of 80 MB", by_value(80 * m), value),
      row("payload_800k_cold", "the same of 800 kB to a new worker", cold_value(800 * k)),
      row("payload_80M_cold", "the same of 80 MB to a new worker", cold_value(80 * m)),
      row("payload_span_800k", "800 kB for a std::span<const double>", by_span(800 * k), span),
      row("payload_span_80M", "80 MB for the same", by_span(80 * m), span),
      row("payload_echo_8M", "8 MB there and back / two copies", echo(8 * m),
          {.must = 0.6, .aim = 0.8}),
      {.name = "memory_after",
       .what = "memory of parent and worker after 100 messages of 80 MB and an idle second",
       .reference = "before",
       .measure =
           [](const Effort& effort) {
             return Measured{.value = probe("memory_after", effort.quick ? 2 : 100),
                             .reference_value = 1};
           },
       .target = {.must = 1.1, .aim = 1.05},
       .unit = "x"},
  };
}

}  // namespace apalis::bench
