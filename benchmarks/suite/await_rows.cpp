// SPDX-License-Identifier: BSL-1.0
// Rows of coroutines.

#include <apalis/apalis.hpp>

#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

/// Of a coroutine; making it and waiting for it is shared out among them.
constexpr int calls = 64;

Coroutine<int> await_calls(Handler<Echo>* handler) {
  int x = 0;
  for (int i = 0; i < calls; ++i) x = co_await handler->call(&Echo::f, x);
  co_return x;
}

int get_calls(Handler<Echo>& handler) {
  int x = 0;
  for (int i = 0; i < calls; ++i) x = handler.call(&Echo::f, x).get();
  return x;
}

Measured await_call(const Effort& effort) {
  Handler<Echo> handler;
  const Side awaited{
      .sample = [&] { return timed(calls, [&] { keep(sync_wait(await_calls(&handler))); }); }};
  const Side got{.sample = [&] { return timed(calls, [&] { keep(get_calls(handler)); }); }};
  const auto [value, reference] = interleave(effort, awaited, got);
  return medians(value, reference);
}

}  // namespace

std::vector<Row> await_rows() {
  return {
      {.name = "await_call",
       .what = "a co_awaited null call, 64 in one coroutine under sync_wait",
       .reference = "null call",
       .measure = await_call,
       .target = {.must = 1.3, .aim = 1.1},
       .needs_two_cores = true},
  };
}

}  // namespace apalis::bench
