// SPDX-License-Identifier: BSL-1.0
// Rows of many calls at once: in flight, in one message, one-way.

#include <apalis/apalis.hpp>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "ping_pong.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using EchoHandler = Handler<Echo>;

constexpr int in_flight = 1024;

Measured against_ping_pong(const Effort& effort, const Side& side) {
  PingPong ping_pong;
  const auto [value, reference] = interleave(effort, side, ping_pong.side());
  return medians(value, reference);
}

/// Makes 1024 tokens with `call`, then gets them all.
template <class Call>
Measured pipelined(const Effort& effort, Call call) {
  EchoHandler handler;
  std::vector<Token<int>> tokens(in_flight);
  const auto round = [&] {
    for (int i = 0; i < in_flight; ++i) tokens[static_cast<std::size_t>(i)] = call(handler, i);
    for (Token<int>& token : tokens) keep(std::move(token).get());
  };
  return against_ping_pong(effort, {.sample = [&] { return timed(in_flight, round); }});
}

Measured pipelined_call(const Effort& effort) {
  return pipelined(effort, [](EchoHandler& handler, int x) { return handler.call(&Echo::f, x); });
}

Measured bound_pipelined_call(const Effort& effort) {
  return pipelined(effort, [](EchoHandler& handler, int x) { return handler.call<&Echo::f>(x); });
}

Measured batch_of(int size, const Effort& effort) {
  EchoHandler handler;
  std::vector<Call<Echo, int>> calls;
  calls.reserve(static_cast<std::size_t>(size));
  for (int i = 0; i < size; ++i) calls.push_back(handler.prepare(&Echo::f, i));
  return against_ping_pong(
      effort, {.sample = [&] { return timed(size, [&] { keep(handler.run(calls)); }); }});
}

Measured post(const Effort& effort) {
  EchoHandler handler;
  const auto round = [&] {
    for (int i = 0; i < in_flight; ++i) handler.post(&Echo::f, i);
    handler.drain();
  };
  return against_ping_pong(effort, {.sample = [&] { return timed(in_flight, round); }});
}

Row batch_row(int size) {
  return {.name = "batch_call/" + std::to_string(size),
          .what = "a call in a run of " + std::to_string(size) + " prepared ones",
          .reference = "ping-pong",
          .measure = [size](const Effort& effort) { return batch_of(size, effort); },
          .needs_two_cores = true};
}

}  // namespace

std::vector<Row> throughput_rows() {
  return {
      {.name = "pipelined_call",
       .what = "a call with its token made and got, 1024 in flight",
       .reference = "ping-pong",
       .measure = pipelined_call,
       .target = {.must = 0.25, .aim = 0.12},
       .needs_two_cores = true},
      {.name = "pipelined_call/bound",
       .what = "the same with the method bound at compile time",
       .reference = "ping-pong",
       .measure = bound_pipelined_call,
       .needs_two_cores = true},
      {.name = "batch_call",
       .what = "a call in a run of 1000 prepared ones on one handler",
       .reference = "ping-pong",
       .measure = [](const Effort& effort) { return batch_of(1000, effort); },
       .target = {.must = 0.2, .aim = 0.1},
       .needs_two_cores = true},
      batch_row(1),
      batch_row(10),
      batch_row(100),
      batch_row(10'000),
      {.name = "post",
       .what = "a one-way call, 1024 and then drain",
       .reference = "ping-pong",
       .measure = post,
       .needs_two_cores = true},
  };
}

}  // namespace apalis::bench
