// SPDX-License-Identifier: BSL-1.0
// Rows of data that is passed by name.

#include <apalis/apalis.hpp>
#include <apalis/shared_array.hpp>
#include <cstddef>
#include <span>

#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

struct Reader {
  int null(int x) { return x + 1; }
  double read(std::span<const double> xs, std::size_t i) { return xs[i]; }
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

}  // namespace

std::vector<Row> shared_rows() {
  return {
      {.name = "shared_array_call",
       .what = "round trip of a call that is passed a SharedArray of 1 GB and reads one element",
       .reference = "null call",
       .measure = shared_array_call,
       .target = {.must = 1.3, .aim = 1.1},
       .needs_two_cores = true},
  };
}

}  // namespace apalis::bench
