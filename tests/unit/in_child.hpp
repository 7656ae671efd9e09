// SPDX-License-Identifier: BSL-1.0
#pragma once

// Checks that need a process of their own: they change it, end it, or ask what a fork sees.
//
//   CHECK(in_child([] { set_title("x"); expect(comm() == "x", "no title is shown"); }) == fine);
//   CHECK(in_child([] { std::abort(); }) == "killed by signal 6");
//
// Test macros work in the test's own process only: a body says expect(), or throws.

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

extern "C" __attribute__((weak)) void __gcov_dump();  // NOLINT: present under coverage only

namespace apalis::test {

/// What is said of a child that returned from its body and ended with status 0.
inline constexpr std::string_view fine = "fine";

/// How long a test waits for what must happen before it calls it a failure.
inline constexpr int patience_s = 120;

inline void expect(bool condition, const std::string& otherwise) {
  if (!condition) throw std::runtime_error(otherwise);
}

[[noreturn]] inline void fail_with_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// A pipe that carries plain values between related processes.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail_with_errno("pipe2");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }

  template <class T>
  void put(const T& value) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (::write(ends_[1], &value, sizeof value) != static_cast<ssize_t>(sizeof value))
      fail_with_errno("writing to a pipe");
  }
  template <class T = char>
  [[nodiscard]] T take() const {
    pollfd entry{.fd = ends_[0], .events = POLLIN, .revents = 0};
    while (::poll(&entry, 1, patience_s * 1000) < 0 && errno == EINTR) {
    }
    expect((entry.revents & POLLIN) != 0, "nobody wrote to the pipe");
    T value{};
    if (::read(ends_[0], &value, sizeof value) != static_cast<ssize_t>(sizeof value))
      fail_with_errno("reading from a pipe");
    return value;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

inline constexpr std::array fatal_signals{SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                          SIGABRT, SIGTERM, SIGINT};

/// Without the test framework's and the sanitizers' handlers, so that a fatal signal kills, and
/// without a core file.
inline void die_plainly() noexcept {
  for (const int number : fatal_signals) ::signal(number, SIG_DFL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

/// Runs `body` in a fork that ends with it, without exit handlers. Returns the child's pid.
template <class F>
[[nodiscard]] pid_t start_child(F&& body) {
  std::fflush(nullptr);
  // A signal that comes early finds the child's own dispositions.
  sigset_t fatal, before;
  ::sigemptyset(&fatal);
  for (const int number : fatal_signals) ::sigaddset(&fatal, number);
  ::pthread_sigmask(SIG_BLOCK, &fatal, &before);
  const pid_t pid = ::fork();
  if (pid == 0) die_plainly();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) fail_with_errno("fork");
  if (pid != 0) return pid;
  int status = 99;
  try {
    ::alarm(patience_s);  // a test that hangs becomes one that fails
    std::forward<F>(body)();
    status = 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "in a child: %s\n", e.what());
  } catch (...) {
  }
  if (&__gcov_dump != nullptr) __gcov_dump();
  ::_exit(status);
}

/// Reaps a child: `fine`, or how it ended.
[[nodiscard]] inline std::string end_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return "somebody else reaped it";
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "exit status " + std::to_string(WEXITSTATUS(status));
  return std::string{fine};
}

/// Runs `body` in a child: `fine`, or what it threw, or how it ended.
template <class F>
[[nodiscard]] std::string in_child(F&& body) {
  int words[2];
  if (::pipe2(words, O_CLOEXEC | O_NONBLOCK) != 0) fail_with_errno("pipe2");
  const pid_t pid = start_child([&] {
    std::string failure;
    try {
      std::forward<F>(body)();
      return;
    } catch (const std::exception& e) {
      failure = e.what();
    }
    failure.resize(failure.size() < 2048 ? failure.size() : 2048);  // what a pipe takes at once
    if (failure.empty() || ::write(words[1], failure.data(), failure.size()) < 0) ::_exit(98);
  });
  const std::string end = end_of(pid);
  std::array<char, 2048> buffer;
  const auto length = ::read(words[0], buffer.data(), buffer.size());
  ::close(words[0]);
  ::close(words[1]);
  if (length > 0) return {buffer.data(), static_cast<std::size_t>(length)};
  return end;
}

/// A whole file, such as those below /proc that have no size.
[[nodiscard]] inline std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace apalis::test
