// SPDX-License-Identifier: BSL-1.0
// Rows of what it takes to learn how busy the machine is.

#include <fcntl.h>
#include <unistd.h>

#include <apalis/detail/sys/fd.hpp>
#include <apalis/load_guard.hpp>
#include <array>
#include <stdexcept>

#include "row.hpp"
#include "stopwatch.hpp"

namespace apalis::bench {
namespace {

Measured load_guard(const Effort& effort) {
  constexpr double us = 1e-3;
  const apalis::detail::sys::Fd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  if (!file) throw std::runtime_error("/proc/loadavg can't be read here");
  std::array<char, 128> text;
  const Side check{.sample = [] { return us * timed(1, [] { keep(machine_is_busy(0.8)); }); }};
  const Side read{.sample = [&] {
    return us * timed(1, [&] { keep(::pread(file.get(), text.data(), text.size(), 0)); });
  }};
  const auto [value, reference] = interleave(effort, check, read);
  return medians_and_p99(value, reference);
}

}  // namespace

std::vector<Row> load_rows() {
  return {
      {.name = "load_guard",
       .what = "one look whether others keep the machine busy",
       .reference = "bare pread",
       .measure = load_guard,
       .target = {.must = 10, .aim = 2, .judged = Target::Judged::value},
       .unit = "us"},
  };
}

}  // namespace apalis::bench
