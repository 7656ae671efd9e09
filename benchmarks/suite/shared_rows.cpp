// SPDX-License-Identifier: BSL-1.0
// Rows of data that is passed by name.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/ref.hpp>
#include <apalis/shared_array.hpp>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

struct Reader {
  int null(int x) { return x + 1; }
  double read(std::span<const double> xs, std::size_t i) { return xs[i]; }
  double sum(std::span<const double> xs) {
    return std::accumulate(xs.begin(), xs.end(), 0.0);
  }
};

Measured shared_array_call(const Effort& effort) {
  constexpr std::size_t gigabyte = 1'000'000'000;
  const SharedArray<double> array((effort.quick ? gigabyte / 1000 : gigabyte) / sizeof(double),
                                  1.5);
  Handler<Reader> handler;
  const Side with_array{.sample = [&, i = std::size_t{0}]() mutable {
    return timed(1, [&] { keep(handler.call(&Reader::read, array, ++i % 1000).get()); });
  }};
  const Side null_call{.sample = [&, x = 0]() mutable {
    return timed(1, [&] { keep(handler.call(&Reader::null, ++x).get()); });
  }};
  const auto [value, reference] = interleave(effort, with_array, null_call);
  return medians_and_p99(value, reference);
}

Measured ref_call(const Effort& effort) {
  constexpr std::size_t all = 100'000'000;
  const auto ref =
      put(std::vector<double>((effort.quick ? all / 100 : all) / sizeof(double), 1.5));
  Handler<Reader> handler;
  keep(handler.call(&Reader::sum, ref).get());  // the first call
  const Side with_ref{.sample = [&, i = std::size_t{0}]() mutable {
    return timed(1, [&] { keep(handler.call(&Reader::read, ref, ++i % 1000).get()); });
  }};
  const Side null_call{.sample = [&, x = 0]() mutable {
    return timed(1, [&] { keep(handler.call(&Reader::null, ++x).get()); });
  }};
  const auto [value, reference] = interleave(effort, with_ref, null_call);
  return medians_and_p99(value, reference);
}

/// put() and a call of each of 8 workers that finds the value, in milliseconds.
Measured broadcast(const Effort& effort) {
  constexpr std::size_t workers = 8;
  const std::vector<double> source((effort.quick ? 800'000 : 80'000'000) / sizeof(double), 1.5);
  GroupHandler<Reader> group{{.workers = workers}, std::in_place, workers};
  std::vector<double> target(source);
  const auto pass = [&] {
    const auto ref = put(std::span(source));
    keep(group.map(&Reader::read, ref, source.size() - 1));
  };
  const Side passing{.sample = [&] { return timed(1, pass); }};
  const Side copying{.sample = [&] {
    return timed(1, [&] {
      std::copy(source.begin(), source.end(), target.begin());
      keep(*target.data());
    });
  }};
  using namespace std::chrono_literals;
  const Effort few{std::max(2, effort.rounds / 2), 0ns, 0ns, effort.quick};
  const auto [value, reference] = interleave(few, passing, copying);
  constexpr double ns_in_ms = 1e6;
  return {.value = value.median / ns_in_ms, .reference_value = reference.median / ns_in_ms};
}

}  // namespace

std::vector<Row> shared_rows() {
  return {
      {.name = "shared_array_call",
       .what = "round trip of a call that is passed a SharedArray of 1 GB and reads one element",
       .reference = "null call",
       .measure = shared_array_call,
       .target = {.must = 1.3, .aim = 1.1},
       .needs_two_cores = true},
      {.name = "ref_call",
       .what = "the same with a Ref to 100 MB, the second and later calls",
       .reference = "null call",
       .measure = ref_call,
       .target = {.must = 1.3, .aim = 1.1},
       .needs_two_cores = true},
      {.name = "broadcast_80M",
       .what = "put() of 80 MB and its reading in place by 8 workers, one element each",
       .reference = "one copy, warm",
       .measure = broadcast,
       .target = {.must = 2.0, .aim = 1.2},
       .unit = "ms"},
  };
}

}  // namespace apalis::bench
