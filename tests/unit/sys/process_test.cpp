// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/detail/sys/process.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::fine;
using apalis::test::Pipe;
using apalis::test::Refusing;
using apalis::test::start_child;
using Catch::Matchers::ContainsSubstring;
using sys::Fd;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

/// Every test of a child's end runs with a pidfd and without one.
Fd pidfd_or_none(pid_t pid) {
  const bool with = GENERATE(true, false);
  CAPTURE(with);
  return with ? sys::open_pidfd(pid) : Fd{};
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

/// The end of a child that ends soon.
sys::ExitStatus reap(pid_t pid, const Fd& pidfd) {
  REQUIRE(sys::wait_for_end(pid, pidfd, 60s));
  const auto status = sys::try_reap(pid, pidfd);
  REQUIRE(status.has_value());
  return *status;
}

/// SIGCHLD's disposition for a scope.
class ChildSignal {
 public:
  explicit ChildSignal(void (*handler)(int)) : before_(::signal(SIGCHLD, handler)) {}
  ChildSignal(const ChildSignal&) = delete;
  ChildSignal& operator=(const ChildSignal&) = delete;
  ~ChildSignal() { ::signal(SIGCHLD, before_); }

 private:
  void (*before_)(int);
};

}  // namespace

TEST_CASE("fork_process makes a child", "[process]") {
  const pid_t self = ::getpid();
  const pid_t pid = sys::fork_process();
  if (pid == 0) sys::exit_now(::getppid() == self ? 7 : 1);
  CHECK(end_of(pid) == "exit status 7");
}

TEST_CASE("a refused fork is a SystemError with advice", "[process]") {
  const Refusing refusing(sys::Call::fork, EAGAIN);
  try {
    (void)sys::fork_process();
    FAIL("it forked");
  } catch (const apalis::SystemError& error) {
    CHECK(error.code() == EAGAIN);
    CHECK_THAT(error.what(), ContainsSubstring("cannot fork a worker"));
    CHECK_THAT(error.what(), ContainsSubstring("ulimit -u"));
  }
}

TEST_CASE("a pidfd does not pass to programs that are started", "[process]") {
  const Pipe done;
  const pid_t pid = start_child([&] { (void)done.take(); });
  const Fd pidfd = sys::open_pidfd(pid);
  REQUIRE(pidfd);
  CHECK(::fcntl(pidfd.get(), F_GETFD) == FD_CLOEXEC);
  done.put('x');
  CHECK(end_of(pid) == fine);
}

TEST_CASE("a pidfd that can't be had is empty", "[process]") {
  const pid_t pid = start_child([] {});
  CHECK(end_of(pid) == fine);
  CHECK_FALSE(sys::open_pidfd(pid));  // nobody there
  const Refusing refusing(sys::Call::pidfd_open, ENOSYS);
  CHECK_FALSE(sys::open_pidfd(::getpid()));
}

TEST_CASE("try_reap tells nothing of a child that runs", "[process]") {
  const Pipe done;
  const pid_t pid = start_child([&] { (void)done.take(); });
  const Fd pidfd = pidfd_or_none(pid);
  CHECK_FALSE(sys::try_reap(pid, pidfd).has_value());
  done.put('x');
  CHECK(reap(pid, pidfd).known);
}

TEST_CASE("try_reap tells the exit status", "[process]") {
  const pid_t pid = sys::fork_process();
  if (pid == 0) sys::exit_now(42);
  const Fd pidfd = pidfd_or_none(pid);
  const auto status = reap(pid, pidfd);
  CHECK(status.known);
  CHECK(status.status == 42);
  CHECK(status.signal == 0);
  CHECK_FALSE(status.core_dumped);
  CHECK(::waitpid(pid, nullptr, WNOHANG) == -1);  // it is reaped
  CHECK(errno == ECHILD);
}

TEST_CASE("try_reap tells the signal", "[process]") {
  const pid_t pid = start_child([] { std::abort(); });
  const Fd pidfd = pidfd_or_none(pid);
  const auto status = reap(pid, pidfd);
  CHECK(status.known);
  CHECK(status.signal == SIGABRT);
  CHECK_FALSE(status.core_dumped);  // forbidden by the child itself
}

TEST_CASE("a child reaped by somebody else has an unknown status", "[process]") {
  const pid_t pid = sys::fork_process();
  if (pid == 0) sys::exit_now(5);
  const Fd pidfd = pidfd_or_none(pid);
  CHECK(end_of(pid) == "exit status 5");  // stolen
  CHECK(sys::wait_for_end(pid, pidfd, -1ms));
  const auto status = sys::try_reap(pid, pidfd);
  REQUIRE(status.has_value());
  CHECK_FALSE(status->known);
}

TEST_CASE("a child that nobody is to reap has an unknown status", "[process]") {
  const ChildSignal ignored(SIG_IGN);
  const Pipe done;
  const pid_t pid = start_child([&] { (void)done.take(); });
  const Fd pidfd = pidfd_or_none(pid);
  CHECK_FALSE(sys::try_reap(pid, pidfd).has_value());
  CHECK_FALSE(sys::wait_for_end(pid, pidfd, 0ms));
  done.put('x');
  CHECK(sys::wait_for_end(pid, pidfd, -1ms));
  const auto status = sys::try_reap(pid, pidfd);
  REQUIRE(status.has_value());
  CHECK_FALSE(status->known);
}

TEST_CASE("wait_for_end gives up at its limit", "[process]") {
  const Pipe done;
  const pid_t pid = start_child([&] { (void)done.take(); });
  const Fd pidfd = pidfd_or_none(pid);
  CHECK_FALSE(sys::wait_for_end(pid, pidfd, 0ms));
  const auto start = Clock::now();
  CHECK_FALSE(sys::wait_for_end(pid, pidfd, 30ms));
  CHECK(Clock::now() - start >= 30ms);
  done.put('x');
  CHECK(reap(pid, pidfd).known);
}

TEST_CASE("wait_for_end waits, and does not reap", "[process]") {
  const Pipe go;
  const pid_t pid = start_child([&] {
    (void)go.take();
    sys::exit_now(9);
  });
  const Fd pidfd = pidfd_or_none(pid);
  go.put('x');
  CHECK(sys::wait_for_end(pid, pidfd, -1ms));
  CHECK(sys::wait_for_end(pid, pidfd, 0ms));
  CHECK(end_of(pid) == "exit status 9");
}

TEST_CASE("the longest limit is a long one", "[process]") {
  const pid_t pid = start_child([] { ::poll(nullptr, 0, 30); });
  const Fd pidfd = pidfd_or_none(pid);
  CHECK(sys::wait_for_end(pid, pidfd, std::chrono::milliseconds::max()));
  CHECK(end_of(pid) == fine);
}

TEST_CASE("signals do not end wait_for_end early", "[process]") {
  static volatile sig_atomic_t signals;
  signals = 0;
  struct sigaction before {};
  struct sigaction counting {};
  counting.sa_handler = [](int) { signals = signals + 1; };
  REQUIRE(::sigaction(SIGUSR1, &counting, &before) == 0);  // without SA_RESTART
  const pid_t self = ::getpid();
  const pid_t pid = start_child([&] {
    for (int i = 0; i < 100; ++i) ::kill(self, SIGUSR1);
  });
  const Fd pidfd = pidfd_or_none(pid);
  CHECK(sys::wait_for_end(pid, pidfd, -1ms));
  CHECK(end_of(pid) == fine);
  CHECK(signals > 0);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("send_signal reaches the child", "[process]") {
  const pid_t pid = start_child([] { sleep_for_ever(); });
  const Fd pidfd = pidfd_or_none(pid);
  sys::send_signal(pid, pidfd, 0);
  CHECK_FALSE(sys::try_reap(pid, pidfd).has_value());
  sys::send_signal(pid, pidfd, SIGKILL);
  CHECK(reap(pid, pidfd).signal == SIGKILL);
}

TEST_CASE("a signal to what has ended is harmless", "[process]") {
  const pid_t pid = start_child([] {});
  const Fd pidfd = sys::open_pidfd(pid);
  REQUIRE(sys::wait_for_end(pid, pidfd, -1ms));
  sys::send_signal(pid, pidfd, SIGKILL);
  CHECK(end_of(pid) == fine);
  sys::send_signal(pid, pidfd, SIGKILL);  // reaped: the pid may belong to somebody by now
}

TEST_CASE("exit_now skips exit handlers and unwritten output", "[process]") {
  const Pipe words;
  const pid_t pid = start_child([&] {
    static const Pipe* pipe;
    pipe = &words;
    std::atexit([] { pipe->put('e'); });
    sys::exit_now(3);
  });
  CHECK(end_of(pid) == "exit status 3");
  words.put('n');
  CHECK(words.take() == 'n');
}

TEST_CASE("signals have names", "[process]") {
  CHECK(sys::signal_name(SIGSEGV) == "SIGSEGV");
  CHECK(sys::signal_name(SIGKILL) == "SIGKILL");
  CHECK(sys::signal_name(SIGABRT) == "SIGABRT");
  CHECK(sys::signal_name(SIGBUS) == "SIGBUS");
  CHECK(sys::signal_name(SIGWINCH) == "SIGWINCH");
  CHECK(sys::signal_name(SIGRTMIN) == "SIGRTMIN");
  CHECK(sys::signal_name(SIGRTMIN + 2) == "SIGRTMIN+2");
  CHECK(sys::signal_name(SIGRTMAX) ==
        "SIGRTMIN+" + std::to_string(SIGRTMAX - SIGRTMIN));
}

TEST_CASE("every standard signal has a name", "[process]") {
  for (int signal = 1; signal < 32; ++signal) {
    CAPTURE(signal);
    CHECK(sys::signal_name(signal).substr(0, 3) == "SIG");
  }
}

TEST_CASE("what is no signal is called by its number", "[process]") {
  CHECK(sys::signal_name(77) == "signal 77");
  CHECK(sys::signal_name(0) == "signal 0");
  CHECK(sys::signal_name(-1) == "signal -1");
  CHECK(sys::signal_name(SIGRTMAX + 1) == "signal " + std::to_string(SIGRTMAX + 1));
  // The C library keeps these to itself.
  CHECK(sys::signal_name(SIGRTMIN - 1) == "signal " + std::to_string(SIGRTMIN - 1));
}
