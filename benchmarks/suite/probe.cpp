// SPDX-License-Identifier: BSL-1.0
#include "probe.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "raw_calls.hpp"

extern char** environ;

namespace apalis::bench {
namespace {

std::string read_all(int fd) {
  std::string text;
  char piece[256];
  for (ssize_t got; (got = checked(read(fd, piece, sizeof piece), "read")) > 0;) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

double probe(const std::string& name, int count) {
  const auto [read_end, write_end] = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end, STDOUT_FILENO);

  std::string arguments[] = {"apalis_bench", "--probe=" + name, "--count=" + std::to_string(count)};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t child = 0;
  const int refused = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(write_end);
  if (refused != 0) throw std::system_error(refused, std::generic_category(), "posix_spawn");

  const std::string answer = read_all(read_end);
  close(read_end);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error("the probe " + name + " failed");
  return std::stod(answer);
}

}  // namespace apalis::bench
