// SPDX-License-Identifier: BSL-1.0
// A group's parent that changes cores at any moment wakes all of its workers all the same.
#include <sched.h>
#include <unistd.h>

#include <apalis/group_handler.hpp>
#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include "support/catch.hpp"

namespace {

struct Counter {
  long total = 0;
  long add(long x) { return total += x; }
};

std::vector<int> allowed_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  REQUIRE(::sched_getaffinity(0, sizeof mask, &mask) == 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  return cores;
}

/// Moves a thread from core to core.
class Mover {
 public:
  explicit Mover(pid_t thread)
      : mover_([thread, cores = allowed_cores()](const std::stop_token& stop) {
          for (std::size_t i = 0; !stop.stop_requested(); ++i)
            bind(thread, {cores[i % cores.size()]});
          bind(thread, cores);
        }) {}

 private:
  static void bind(pid_t thread, const std::vector<int>& cores) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (const int core : cores) CPU_SET(core, &mask);
    ::sched_setaffinity(thread, sizeof mask, &mask);
  }
  std::jthread mover_;
};

}  // namespace

TEST_CASE("a group's parent that is moved while it sends reaches every worker") {
  apalis::GroupHandler<Counter> g{{.workers = 3}, std::in_place, 3};
  const Mover mover{::gettid()};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  long rounds = 0;
  while (std::chrono::steady_clock::now() < end) {
    REQUIRE(g.map(&Counter::add, 1L) == std::vector<long>(3, ++rounds));
    // Not to wait for anything: so that some of the workers are asleep.
    std::this_thread::sleep_for(std::chrono::microseconds{300});
  }
}
