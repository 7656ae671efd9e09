// SPDX-License-Identifier: BSL-1.0
#include "bare_fork.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include "raw_calls.hpp"

namespace apalis::bench {
namespace {

pid_t fork_and_exit() {
  const pid_t child = checked(fork(), "fork");
  if (child == 0) _exit(0);
  return child;
}

}  // namespace

Side fork_exit_wait() {
  return {.sample = [] { return timed(1, [] { waitpid(fork_and_exit(), nullptr, 0); }); }};
}

Side bare_fork() {
  return {.sample = [] {
    pid_t child = 0;
    const double nanoseconds = timed(1, [&] { child = fork_and_exit(); });
    waitpid(child, nullptr, 0);
    return nanoseconds;
  }};
}

pid_t fork_idle_child() {
  const auto [read_end, write_end] = make_pipe();
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    die_with_parent();
    checked(write(write_end, "", 1), "write");
    for (;;) pause();
  }
  char byte;
  checked(read(read_end, &byte, 1), "read");
  close(read_end);
  close(write_end);
  return child;
}

}  // namespace apalis::bench
