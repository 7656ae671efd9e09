// SPDX-License-Identifier: BSL-1.0
// A program full of threads that hold locks: with the fork server started before them, no worker
// ever waits for a lock that nobody will release. APALIS_STRESS_CALLS=20000000 makes it 10 000
// handlers.
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <locale>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::ForkServer;
using apalis::Handler;
using namespace std::chrono_literals;

namespace {

constexpr int thread_count = 8;

int handlers_in_all() {
  const char* text = std::getenv("APALIS_STRESS_CALLS");
  const long calls = text != nullptr && *text != '\0' ? std::atol(text) : 1'000'000;
  return static_cast<int>(calls / 2000);
}

/// A library's logger: one lock, held while it writes.
class Logger {
 public:
  void line(const std::string& text) {
    const std::lock_guard lock{mutex_};
    std::fprintf(nowhere_, "%s\n", text.c_str());
    std::fflush(nowhere_);
  }

 private:
  std::mutex mutex_;
  std::FILE* nowhere_ = std::fopen("/dev/null", "w");
};
Logger logger;

std::size_t allocate() {
  std::vector<std::unique_ptr<char[]>> blocks;
  for (std::size_t size = 1; size < 200'000; size += size / 2 + 1)
    blocks.push_back(std::make_unique<char[]>(size));
  return blocks.size();
}

std::size_t format() {
  std::ostringstream out;
  out.imbue(std::locale(std::locale::classic(), new std::numpunct<char>));
  for (int i = 0; i < 20; ++i) out << std::fixed << std::setprecision(3) << i * 0.125 << ' ';
  std::printf("%s", out.str().substr(out.str().size()).c_str());  // nothing, but by stdio's lock
  return out.str().size();
}

std::size_t change_locale() {
  const std::locale before = std::locale::global(std::locale::classic());
  const std::locale copy{before, std::locale::classic(), std::locale::numeric};
  std::locale::global(before);
  return copy.name().size();
}

int add_in_a_team(int n) {
  int sum = 0;
#ifdef _OPENMP
#  pragma omp parallel for num_threads(3) reduction(+ : sum)
#endif
  for (int i = 0; i < n; ++i) sum += i;
  return sum;
}

/// Takes every lock there is.
struct Job {
  int all(int n) {
    logger.line(std::to_string(n));
    if (allocate() == 0 || format() == 0 || change_locale() == 0) return -1;
    return add_in_a_team(n);
  }
  int die_now() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
};

void make_noise(int kind) {
  switch (kind % 5) {
    case 0:
      (void)allocate();
      break;
    case 1:
      (void)format();
      break;
    case 2:
      (void)change_locale();
      break;
    case 3:
      logger.line("noise");
      break;
    default:
      (void)add_in_a_team(1000);
  }
}

/// One handler's life, now and then with a death.
void use_handler(int i) {
  apalis::Options options;
  if (i % 16 == 0) options.restart = {.max = 1, .backoff = 1ms};
  Handler<Job> h{options, std::in_place};
  auto first = h.call(&Job::all, 100);
  expect(first.wait_for(60s), "a worker hangs");
  expect(first.get() == 4950, "a wrong result");
  if (i % 16 != 0) return;
  auto death = h.call(&Job::die_now);
  auto second = h.call(&Job::all, 10);
  expect(death.wait_for(60s) && second.wait_for(60s), "the next worker hangs");
  expect(second.get() == 45, "a wrong result of the next worker");
}

void live_in(std::atomic<int>& left, std::atomic<bool>& failed, int kind) {
  try {
    for (int i = 0; !failed && (i = left--) > 0;) {
      for (int bursts = 0; bursts < 5; ++bursts) make_noise(kind);
      use_handler(i);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "host: %s\n", e.what());
    failed = true;
  }
}

}  // namespace

TEST_CASE("threads that hold locks all the time do not reach the server's workers",
          "[fork_server][threads]") {
  const int handlers = handlers_in_all();
  Host host([&](Host::Side&) {
    ForkServer::start();
    const auto descriptors = open_descriptors();
    std::atomic<int> left{handlers};
    std::atomic<bool> failed{false};
    std::atomic<bool> stop{false};
    {
      // Noise that no handler interrupts, too.
      std::jthread noise([&] {
        for (int kind = 0; !stop; ++kind) {
          make_noise(kind);
          std::this_thread::yield();
        }
      });
      std::vector<std::jthread> threads;
      for (int t = 0; t < thread_count; ++t)
        threads.emplace_back([&, t] { live_in(left, failed, t); });
      threads.clear();
      stop = true;
    }
    expect(open_descriptors() == descriptors, "a descriptor is left");
    ForkServer::stop();
    expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "a child was left");
    return failed ? 1 : 0;
  });
  // As long as all of it takes, which is more than patience for one step where there are thousands.
  CHECK(Watched(host.pid()).ends(patience_ms + handlers * 60));
  CHECK(host.status() == 0);
}
