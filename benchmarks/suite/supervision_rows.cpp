// SPDX-License-Identifier: BSL-1.0
// Rows of workers that die.

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <limits>
#include <optional>
#include <random>
#include <semaphore>
#include <thread>

#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double ns_in_ms = 1e6;

struct Sleeper {
  int pause() {
    for (;;) ::pause();
  }
};

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// A moment in which a waiter falls asleep, of a length that follows no interval of its own.
void let_fall_asleep(std::mt19937& random) {
  std::this_thread::sleep_for(std::chrono::microseconds{1000 + random() % 10'000});
}

/// From SIGKILL to the exception in a thread that waits for the call's result.
double kill_to_exception(std::mt19937& random) {
  Handler<Sleeper> handler;
  auto token = handler.call(&Sleeper::pause);
  Clock::time_point killed;
  std::jthread killer([&, pid = handler.pid()] {
    let_fall_asleep(random);
    killed = Clock::now();
    ::kill(pid, SIGKILL);
  });
  double result = 0;
  try {
    token.get();
  } catch (const WorkerDied&) {
    const auto noticed = Clock::now();
    killer.join();
    result = std::chrono::duration<double, std::nano>(noticed - killed).count();
  }
  return result;
}

/// From SIGKILL to the end of a waitpid() that sleeps for it.
double kill_to_waitpid(std::mt19937& random) {
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  Clock::time_point killed;
  std::jthread killer([&] {
    let_fall_asleep(random);
    killed = Clock::now();
    ::kill(child, SIGKILL);
  });
  ::waitpid(child, nullptr, 0);
  const auto noticed = Clock::now();
  killer.join();
  return std::chrono::duration<double, std::nano>(noticed - killed).count();
}

Measured death_notice(const Effort& effort) {
  std::mt19937 random(1);
  const auto [value, reference] =
      interleave(effort, Side{.sample = [&] { return kill_to_exception(random); }},
                 Side{.sample = [&] { return kill_to_waitpid(random); }});
  return {value.median / ns_in_ms, reference.median / ns_in_ms, value.p99 / ns_in_ms,
          reference.p99 / ns_in_ms};
}

/// Ends a worker and waits until the kernel says so; the parent has not looked yet.
void end_worker(pid_t pid) {
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  ::kill(pid, SIGKILL);
  pollfd end{.fd = descriptor, .events = POLLIN, .revents = 0};
  ::poll(&end, 1, -1);
  ::close(descriptor);
}

/// A call to a handler whose worker is dead: noticing, making a new one, its first result.
Measured restart_first_reply(const Effort& effort) {
  const Options options{
      .restart = {.max = std::numeric_limits<unsigned>::max(), .backoff = {}, .max_backoff = {}}};
  std::optional<Handler<Echo>> restarted;
  std::optional<Handler<Echo>> created;
  const Side restart{.sample =
                         [&] {
                           end_worker(restarted->pid());
                           const auto start = Clock::now();
                           keep(restarted->call(&Echo::f, 1).get());
                           return since(start);
                         },
                     .begin =
                         [&] {
                           restarted.emplace(options, std::in_place);
                           keep(restarted->call(&Echo::f, 1).get());
                         },
                     .end = [&] { restarted.reset(); }};
  const Side create{.sample =
                        [&] {
                          created.reset();
                          const auto start = Clock::now();
                          keep(created.emplace().call(&Echo::f, 1).get());
                          return since(start);
                        },
                    .end = [&] { created.reset(); }};
  const auto [value, reference] = interleave(effort, restart, create);
  return medians_and_p99(value, reference);
}

}  // namespace

std::vector<Row> supervision_rows() {
  return {
      {.name = "death_notice",
       .what = "SIGKILL of a worker to WorkerDied in a thread that waits for it",
       .reference = "the same, waitpid()",
       .measure = death_notice,
       .target = {.must = 10, .aim = 1, .judged = Target::Judged::value},
       .unit = "ms"},
      {.name = "restart_first_reply",
       .what = "a call to a handler whose worker is dead, to its result from the next one",
       .reference = "create_first_reply",
       .measure = restart_first_reply,
       .target = {.must = 1.5, .aim = 1.1}},
  };
}

}  // namespace apalis::bench
