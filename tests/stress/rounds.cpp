// SPDX-License-Identifier: BSL-1.0
#include "rounds.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>
#include <thread>

namespace stress {

void signal_child(pid_t pid, int signal) {
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return;
  ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  ::close(pidfd);
}

void kill_at_random(const std::function<pid_t()>& victim, std::mt19937_64& random,
                    const std::atomic<int>& progress, int steps) {
  int moment = 0;
  for (auto kills = random() % 6; kills > 0; --kills) {
    moment += static_cast<int>(random() % static_cast<unsigned>(steps / 3 + 1));
    while (progress < moment) std::this_thread::yield();
    for (auto spins = random() % 20'000; spins > 0; --spins) asm volatile("");
    constexpr int signals[] = {SIGKILL, SIGKILL, SIGKILL, SIGUSR1, SIGBUS};  // not Catch2's
    signal_child(victim(), signals[random() % std::size(signals)]);
  }
}

void crash_plainly() {
  ::signal(SIGSEGV, SIG_DFL);
  ::signal(SIGABRT, SIG_DFL);
}

}  // namespace stress
