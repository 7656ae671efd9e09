// SPDX-License-Identifier: BSL-1.0
// Rows of single calls: one at a time, the caller waits for each.

#include <apalis/apalis.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "ping_pong.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using EchoHandler = Handler<Echo>;

/// Times single null calls, the method given at run time.
Side null_call(EchoHandler& handler) {
  return {.sample = [&handler, x = 0]() mutable {
    return timed(1, [&] { keep(handler.call(&Echo::f, ++x).get()); });
  }};
}

/// The same, the method bound at compile time.
Side bound_null_call(EchoHandler& handler) {
  return {.sample = [&handler, x = 0]() mutable {
    return timed(1, [&] { keep(handler.call<&Echo::f>(++x).get()); });
  }};
}

Measured against_ping_pong(const Effort& effort, Side (*call)(EchoHandler&)) {
  PingPong ping_pong;
  EchoHandler handler;
  const auto [value, reference] = interleave(effort, call(handler), ping_pong.side());
  return medians_and_p99(value, reference);
}

Measured null_call_rtt(const Effort& effort) {
  return against_ping_pong(effort, null_call);
}

Measured bound_null_call_rtt(const Effort& effort) {
  return against_ping_pong(effort, bound_null_call);
}

Measured null_call_p99(const Effort& effort) {
  const Measured both = null_call_rtt(effort);
  return {*both.p99, *both.reference_p99, both.p99, both.reference_p99};
}

Measured string_32(const Effort& effort) {
  EchoHandler handler;
  const std::string text(32, 'x');
  const Side echo{
      .sample = [&] { return timed(1, [&] { keep(handler.call(&Echo::string, text).get()); }); }};
  const auto [value, reference] = interleave(effort, echo, null_call(handler));
  return medians_and_p99(value, reference);
}

/// An echo of `size` bytes beside one memcpy of them, from warm memory to warm memory.
Measured echo_of(std::size_t size, const Effort& effort) {
  EchoHandler handler;
  const std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> copy(size);
  const Side echo{
      .sample = [&] { return timed(1, [&] { keep(handler.call(&Echo::bytes, data).get()); }); }};
  const Side memcpy_side{.sample = [&] {
    return timed(1, [&] {
      std::memcpy(copy.data(), data.data(), size);
      keep(*copy.data());
    });
  }};
  const auto [value, reference] = interleave(effort, echo, memcpy_side);
  return medians_and_p99(value, reference);
}

Row echo_row(const std::string& size_name, std::size_t size) {
  return {.name = "echo_vector/" + size_name,
          .what = "echo of a std::vector of " + size_name + ", there and back",
          .reference = "memcpy, once",
          .measure = [size](const Effort& effort) { return echo_of(size, effort); }};
}

}  // namespace

std::vector<Row> call_rows() {
  return {
      {.name = "null_call_rtt",
       .what = "round trip of int f(int): call(&Echo::f, x).get()",
       .reference = "ping-pong",
       .measure = null_call_rtt,
       .target = {.must = 1.6, .aim = 1.25, .must_excess = 80},
       .needs_two_cores = true},
      {.name = "null_call_rtt/bound",
       .what = "the same with the method bound at compile time: call<&Echo::f>(x).get()",
       .reference = "ping-pong",
       .measure = bound_null_call_rtt,
       .needs_two_cores = true},
      {.name = "null_call_p99",
       .what = "99th percentile of that round trip",
       .reference = "its p99",
       .measure = null_call_p99,
       .target = {.must = 2.0, .aim = 1.6},
       .needs_two_cores = true},
      {.name = "string_32",
       .what = "echo of a std::string of 32 bytes",
       .reference = "null call",
       .measure = string_32,
       .target = {.must = 1.6, .aim = 1.25},
       .needs_two_cores = true},
      echo_row("1kB", 1'000),
      echo_row("64kB", 64'000),
      echo_row("1MB", 1'000'000),
  };
}

}  // namespace apalis::bench
