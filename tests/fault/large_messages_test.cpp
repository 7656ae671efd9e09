// SPDX-License-Identifier: BSL-1.0
// Large messages whose worker dies in their middle, and the memory that they leave behind.
#include <signal.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <apalis/shared_array.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using apalis::Handler;
using namespace std::chrono_literals;

namespace {

/// Ends its process once the second argument is being read.
struct Deadly {
  bool ends = false;
  template <class Archive>
  void save(Archive& archive) const {
    archive(ends);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(ends);
    if (ends) ::raise(SIGKILL);
  }
};

struct Taker {
  std::size_t take(const std::vector<double>& xs, const Deadly&, const std::vector<double>& ys) {
    return xs.size() + ys.size();
  }
  std::vector<double> give(std::size_t n) const { return std::vector<double>(n, 1.5); }
  int wait_for(const apalis::SharedArray<int>& flag) const {
    while (std::atomic_ref(flag[0]).load() == 0) std::this_thread::yield();
    return flag[0];
  }
};

std::size_t resident_bytes(pid_t process) {
  std::ifstream statm("/proc/" + std::to_string(process) + "/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return resident * 4096;
}

}  // namespace

TEST_CASE("a worker that dies in the middle of a large message costs that call only", "[large]") {
  const std::vector<double> xs(1'000'000, 1.0);
  Handler<Taker> other;
  for (int round = 0; round < 20; ++round) {
    Handler<Taker> h;
    auto before = h.call(&Taker::take, xs, Deadly{false}, xs);
    auto fatal = h.call(&Taker::take, xs, Deadly{true}, xs);
    CHECK(before.get() == 2 * xs.size());
    CHECK_THROWS_AS(fatal.get(), apalis::WorkerDied);
    CHECK(other.call(&Taker::take, xs, Deadly{false}, xs).get() == 2 * xs.size());
  }
}

TEST_CASE("one that dies so is replaced, and what came after is run", "[large]") {
  const std::vector<double> xs(300'000, 1.0);
  Handler<Taker> h{{.restart = {.max = 3, .backoff = 1ms}}, std::in_place};
  auto fatal = h.call(&Taker::take, xs, Deadly{true}, xs);
  auto after = h.call(&Taker::take, xs, Deadly{false}, xs);
  auto given = h.call(&Taker::give, std::size_t{500'000});
  CHECK_THROWS_AS(fatal.get(), apalis::WorkerDied);
  CHECK(after.get() == 2 * xs.size());
  CHECK((given.get() == std::vector<double>(500'000, 1.5)));
}

TEST_CASE("a call that is sent does not wait for what another thread sends behind it", "[large]") {
  const std::vector<double> xs(100'000, 1.0);  // more than the worker's arena holds
  const unsigned restarts = GENERATE(0U, 3U);
  Handler<Taker> h{{.restart = {.max = restarts}, .fork_in_threads = apalis::ForkInThreads::allow},
                   std::in_place};
  for (int round = 0; round < 20; ++round) {
    const apalis::SharedArray<int> first(1);
    const apalis::SharedArray<int> second(1);
    auto busy = h.call(&Taker::wait_for, first);
    std::atomic<int> begun{0};
    std::atomic<int> wrong{0};
    std::atomic<bool> accepted{false};
    const auto send_large = [&](int turn) {
      while (begun != turn) std::this_thread::yield();
      for (int i = 0; i < 200; ++i) std::this_thread::yield();  // so that they mostly come in turn
      ++begun;
      if (h.call(&Taker::take, xs, Deadly{}, xs).get() != 2 * xs.size()) ++wrong;
    };
    std::jthread before{send_large, 0};
    std::jthread middle{[&] {
      while (begun != 1) std::this_thread::yield();
      for (int i = 0; i < 200; ++i) std::this_thread::yield();
      ++begun;
      auto waits = h.call(&Taker::wait_for, second);
      accepted = true;  // nobody else gives the worker leave to go on
      std::atomic_ref(second[0]).store(1);
      waits.get();
    }};
    std::jthread behind{send_large, 2};
    while (begun != 3) std::this_thread::yield();
    std::atomic_ref(first[0]).store(1);
    busy.get();
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!accepted && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    const bool in_time = accepted;
    std::atomic_ref(second[0]).store(1);
    REQUIRE(in_time);
    before.join();
    behind.join();
    CHECK(wrong == 0);
  }
}

TEST_CASE("a worker killed while its large result arrives fails the call", "[large]") {
  for (int round = 0; round < 20; ++round) {
    Handler<Taker> h;
    auto result = h.call(&Taker::give, std::size_t{4'000'000});
    h.kill();
    bool right = false;
    try {
      right = result.get() == std::vector<double>(4'000'000, 1.5);
    } catch (const apalis::WorkerDied&) {  // mostly
      right = true;
    }
    CHECK(right);
  }
}

TEST_CASE("an idle worker gives back what a large message took", "[large]") {
  if (apalis::test::under_sanitizer) return;  // whose allocators keep memory as they like
  constexpr std::size_t bytes = 200'000'000;
  Handler<Taker> h;  // forked while there is nothing large to share
  const std::vector<double> xs(bytes / sizeof(double), 1.0);
  CHECK(h.call(&Taker::take, xs, Deadly{}, std::vector<double>{}).get() == xs.size());
  const auto deadline = std::chrono::steady_clock::now() + 1min;
  while (resident_bytes(h.pid()) > bytes / 10 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  CHECK(resident_bytes(h.pid()) < bytes / 10);
  CHECK(h.call(&Taker::take, xs, Deadly{}, xs).get() == 2 * xs.size());
}
