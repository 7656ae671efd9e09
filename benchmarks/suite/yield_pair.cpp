// SPDX-License-Identifier: BSL-1.0
#include "yield_pair.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "raw_calls.hpp"
#include "stopwatch.hpp"

namespace apalis::bench {
namespace {

/// Ties the calling process to the first core that it may use.
void stay_on_one_core() {
  cpu_set_t allowed;
  checked(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
  int first = 0;
  while (!CPU_ISSET(first, &allowed)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  checked(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

template <class Word>
void yield_until(const Word& word, std::uint32_t turn) {
  while (word.load(std::memory_order_acquire) != turn) sched_yield();
}

template <class Word>
void lead(Word& word, std::uint32_t rounds) {
  for (std::uint32_t round = 0; round < rounds; ++round) {
    word.store(1, std::memory_order_release);
    yield_until(word, 0);
  }
}

/// Before the time counts: until both processes run.
constexpr std::uint32_t unmeasured = 16;

}  // namespace

YieldPair::YieldPair() : word_(new (shared_memory(sizeof(Word))) Word{0}) {
  keep(calibration());  // once, and not in the child
  const auto [orders_read, orders_write] = make_pipe();
  const auto [partner_read, partner_write] = make_pipe();
  const auto [results_read, results_write] = make_pipe();
  const auto start = [&](auto&& body) {
    const pid_t child = checked(fork(), "fork");
    if (child == 0) {
      die_with_parent();
      stay_on_one_core();
      body();
    }
    return child;
  };
  processes_ = {start([&] { serve(*word_, orders_read, partner_write, results_write); }),
                start([&] { echo(*word_, partner_read); })};
  for (const int theirs : {orders_read, partner_read, partner_write, results_write}) close(theirs);
  orders_ = orders_write;
  results_ = results_read;
}

YieldPair::~YieldPair() {
  for (const pid_t process : processes_) end_child(process);
  close(orders_);
  close(results_);
  munmap(word_, sizeof(Word));
}

void YieldPair::serve(Word& word, int orders, int partner, int results) noexcept {
  for (std::uint32_t rounds; read(orders, &rounds, sizeof rounds) == sizeof rounds;) {
    const std::uint32_t all = unmeasured + rounds;
    checked(write(partner, &all, sizeof all), "write");
    lead(word, unmeasured);
    const double mean = timed(static_cast<int>(rounds), [&] { lead(word, rounds); });
    checked(write(results, &mean, sizeof mean), "write");
  }
  _exit(0);
}

void YieldPair::echo(Word& word, int orders) noexcept {
  for (std::uint32_t rounds; read(orders, &rounds, sizeof rounds) == sizeof rounds;) {
    for (; rounds > 0; --rounds) {
      yield_until(word, 1);
      word.store(0, std::memory_order_release);
    }
  }
  _exit(0);
}

double YieldPair::round_trip(std::uint32_t rounds) {
  checked(write(orders_, &rounds, sizeof rounds), "write");
  double mean = 0;
  checked(read(results_, &mean, sizeof mean), "read");
  return mean;
}

Side YieldPair::side() {
  return {.sample = [this] { return round_trip(500); }};
}

}  // namespace apalis::bench
