// SPDX-License-Identifier: BSL-1.0
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/cpu_count.hpp>
#include <apalis/error.hpp>
#include <apalis/handler.hpp>
#include <apalis/load_guard.hpp>
#include <apalis/this_worker.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/leak_check.hpp"
#include "unit/in_child.hpp"

using apalis::load_of_others;
using apalis::machine_is_busy;

namespace {

const int cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));

/// Processes that compute until this ends: nobody's workers.
class Crowd {
 public:
  explicit Crowd(int size) {
    for (int i = 0; i < size; ++i)
      pids_.push_back(apalis::test::start_child([] {
        const std::atomic<bool> is_over{false};
        while (!is_over) {
        }
      }));
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    for (const auto pid : pids_) ::kill(pid, SIGKILL);
    for (const auto pid : pids_) ::waitpid(pid, nullptr, 0);
  }

 private:
  std::vector<pid_t> pids_;
};

/// A worker that computes until its call is cancelled.
struct Busy {
  void compute() {
    const auto stop = apalis::this_worker().stop_token();
    while (!stop.stop_requested()) {
    }
  }
};

double least_of_looks() {
  double least = load_of_others().now;
  for (int look = 0; look < 100; ++look) least = std::min(least, load_of_others().now);
  return least;
}

bool can_tell() {
  return std::ifstream("/proc/loadavg").good();
}

}  // namespace

void apalis_test_warm_up() {
  apalis::Handler<Busy> worker;
  worker.close();
}

TEST_CASE("the load guard refuses limits that make no sense", "[load]") {
  CHECK_THROWS_AS(machine_is_busy(-0.1), apalis::Error);
  CHECK_THROWS_AS(machine_is_busy(std::numeric_limits<double>::quiet_NaN()), apalis::Error);
  CHECK_FALSE(machine_is_busy(std::numeric_limits<double>::infinity()));
}

TEST_CASE("own work may be told at any time", "[load]") {
  const auto now = std::chrono::steady_clock::now();
  CHECK_NOTHROW(apalis::detail::note_own_work(1.5, now - std::chrono::seconds{1}, now));
  CHECK(load_of_others().average >= 0);
}

TEST_CASE("a crowd of others is seen at once", "[load]") {
  if (!can_tell()) return;
  const Crowd crowd(4 * cores);
  CHECK(load_of_others().now >= 2);  // some may just be about to begin, or to be moved
  CHECK(machine_is_busy(0.8));
}

TEST_CASE("a crowd of own workers is no crowd of others", "[load]") {
  if (!can_tell()) return;
  const int many = 16 * cores;
  const double before = least_of_looks();
  const auto backend = GENERATE(apalis::Backend::processes, apalis::Backend::threads);
  std::vector<apalis::Handler<Busy>> workers;
  std::vector<apalis::Token<void>> calls;
  for (int i = 0; i < many; ++i) {
    workers.emplace_back(apalis::Options{.backend = backend}, std::in_place);
    calls.push_back(workers.back().call(&Busy::compute));
  }
  const double with_workers = least_of_looks();
  for (auto& call : calls) call.cancel();
  for (auto& call : calls) call.wait();
  // Whatever else this machine does, it does not just begin to do that much more.
  CHECK(with_workers < before + many / 2.0 / apalis::cpu_count());
}
