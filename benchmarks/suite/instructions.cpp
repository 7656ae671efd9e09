// SPDX-License-Identifier: BSL-1.0
#include "instructions.hpp"

#include <apalis/apalis.hpp>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "raw_calls.hpp"
#include "stopwatch.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;

/// Calls served, in memory that parent and child share: the parent can wait without the library.
std::atomic<int>* served = nullptr;

struct Counted {
  int f(int x) {
    served->fetch_add(1);
    return x + 1;
  }
};

using CountedHandler = Handler<Counted>;
using Tokens = std::vector<Token<int>>;

}  // namespace

[[gnu::noinline]] void apalis_bench_submit(CountedHandler& handler, Tokens& tokens) {
  for (Token<int>& token : tokens) token = handler.call(&Counted::f, 1);
}

[[gnu::noinline]] void apalis_bench_take(Tokens& tokens) {
  for (Token<int>& token : tokens) keep(std::move(token).get());
}

namespace {

double count_calls(int calls, int in_flight) {
  served = new (shared_memory(sizeof *served)) std::atomic<int>(0);
  CountedHandler handler;
  Tokens tokens(static_cast<std::size_t>(in_flight));
  int made = 0;
  while (made < calls) {
    apalis_bench_submit(handler, tokens);
    made += in_flight;
    while (served->load() < made) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(5ms);  // the last reply follows its method
    apalis_bench_take(tokens);
  }
  return made;
}

}  // namespace

double count_single_calls(int calls) {
  return count_calls(calls, 1);
}
double count_pipelined_calls(int calls) {
  return count_calls(calls, 64);
}

}  // namespace apalis::bench
