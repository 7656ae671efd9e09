// SPDX-License-Identifier: BSL-1.0
//
// Three generations: the test forks a middle process, which forks leaves that watch it.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Pipe;
using apalis::test::Refusing;
using apalis::test::start_child;
using namespace std::chrono_literals;

namespace {

/// Orphans of this test become its children for a scope, so that it sees how they end.
class AdoptingOrphans {
 public:
  AdoptingOrphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  AdoptingOrphans(const AdoptingOrphans&) = delete;
  AdoptingOrphans& operator=(const AdoptingOrphans&) = delete;
  ~AdoptingOrphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }
};

// What spins or sleeps for ever is ended by the alarm of start_child() if all else fails.

[[noreturn]] void spin_for_ever() {
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

/// In the middle process: forks a leaf that tells its pid once it has run `body`.
template <class F>
void start_leaf(const Pipe& pids, F body) {
  const int pipe = sys::parent_pipe(sys::lock_forks());
  const pid_t middle = ::getpid();
  const sys::WatchedFork watched;
  (void)start_child([&] {
    body(pipe, middle);
    pids.put(::getpid());
    spin_for_ever();
  });
}

void watch(int pipe, pid_t middle) {
  expect(sys::watch_parent(pipe, middle), "the watch was refused");
}

void kill_and_reap(pid_t pid) {
  ::kill(pid, SIGKILL);
  CHECK(end_of(pid) == "killed by signal 9");
}

}  // namespace

TEST_CASE("a spinning leaf ends with its parent", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe pids;
  const pid_t middle = start_child([&] {
    start_leaf(pids, watch);
    sleep_for_ever();
  });
  const auto leaf = pids.take<pid_t>();
  CHECK_FALSE(sys::wait_for_end(leaf, sys::open_pidfd(leaf), 0ms));
  kill_and_reap(middle);
  CHECK(end_of(leaf) == "killed by signal 9");
}

TEST_CASE("every leaf ends with its parent", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe pids;
  constexpr int leaves = 5;
  const pid_t middle = start_child([&] {
    for (int i = 0; i < leaves; ++i) start_leaf(pids, watch);
    sleep_for_ever();
  });
  pid_t leaf[leaves];
  for (pid_t& pid : leaf) pid = pids.take<pid_t>();
  kill_and_reap(middle);
  for (const pid_t pid : leaf) CHECK(end_of(pid) == "killed by signal 9");
}

TEST_CASE("a leaf ends when its parent leaves main as well", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe pids, go;
  const pid_t middle = start_child([&] {
    start_leaf(pids, watch);
    (void)go.take();
  });
  const auto leaf = pids.take<pid_t>();
  go.put('x');
  CHECK(end_of(middle) == fine);
  CHECK(end_of(leaf) == "killed by signal 9");
}

TEST_CASE("a leaf outlives the thread that forked it, and its sibling", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe spinner_pid, answerer_pid, joined, questions, answers;
  const pid_t middle = start_child([&] {
    std::thread forking([&] {
      start_leaf(spinner_pid, watch);
      start_leaf(answerer_pid, [&](int pipe, pid_t parent) {
        watch(pipe, parent);
        answerer_pid.put(::getpid());
        for (;;) answers.put(questions.take());
      });
    });
    forking.join();
    joined.put('x');
    sleep_for_ever();
  });
  const auto spinner = spinner_pid.take<pid_t>();
  const auto answerer = answerer_pid.take<pid_t>();
  (void)joined.take();
  questions.put('1');
  CHECK(answers.take() == '1');
  const auto end_of_spinner = sys::open_pidfd(spinner);
  CHECK_FALSE(sys::wait_for_end(spinner, end_of_spinner, 0ms));
  ::kill(spinner, SIGKILL);
  CHECK(sys::wait_for_end(spinner, end_of_spinner, 60s));
  questions.put('2');
  CHECK(answers.take() == '2');
  kill_and_reap(middle);
  CHECK(end_of(spinner) == "killed by signal 9");
  CHECK(end_of(answerer) == "killed by signal 9");
}

TEST_CASE("a leaf whose parent has died before the watch ends at once", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe pids, go;
  const pid_t middle = start_child([&] {
    start_leaf(pids, [&](int pipe, pid_t parent) {
      pids.put(::getpid());
      (void)go.take();
      (void)sys::watch_parent(pipe, parent);
      sys::exit_now(1);
    });
    sleep_for_ever();
  });
  const auto leaf = pids.take<pid_t>();
  kill_and_reap(middle);
  go.put('x');
  // By its own look at its parent, or by the watch as it is armed.
  const auto end = end_of(leaf);
  CHECK((end == fine || end == "killed by signal 9"));
}

TEST_CASE("a kernel that refuses the watch is reported, and the parent can be asked after",
          "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe pids, go;
  const pid_t middle = start_child([&] {
    start_leaf(pids, [&](int pipe, pid_t parent) {
      const Refusing refusing(sys::Call::watch_parent, EACCES);
      expect(!sys::watch_parent(pipe, parent), "the watch was not refused");
      expect(::fcntl(pipe, F_GETFD) == -1, "the parent's pipe is left open");
      expect(!sys::parent_is_gone(parent), "the parent has gone too early");
      pids.put(::getpid());
      (void)go.take();
      sys::exit_now(sys::parent_is_gone(parent) ? 0 : 1);
    });
    sleep_for_ever();
  });
  const auto leaf = pids.take<pid_t>();
  kill_and_reap(middle);
  go.put('x');
  CHECK(end_of(leaf) == fine);
}

// A helper that the program forks and leaves behind must not keep the leaves alive.
TEST_CASE("a leaf ends with its parent while other forks of that live on", "[parent_watch]") {
  const AdoptingOrphans adopting;
  const Pipe leaf_pid, helper_pids, go;
  const pid_t middle = start_child([&] {
    const auto start_helper = [&] { helper_pids.put(start_child([&] { (void)go.take(); })); };
    start_helper();  // before there is a pipe
    start_leaf(leaf_pid, watch);
    start_helper();
    start_leaf(leaf_pid, watch);
    helper_pids.put(start_child([&] {
      const pid_t fork_of_fork = start_child([&] { (void)go.take(); });
      expect(end_of(fork_of_fork) == fine, "the fork of a fork failed");
    }));
    sleep_for_ever();
  });
  const auto first = leaf_pid.take<pid_t>();
  const auto second = leaf_pid.take<pid_t>();
  pid_t helpers[3];
  for (pid_t& pid : helpers) pid = helper_pids.take<pid_t>();
  kill_and_reap(middle);
  CHECK(end_of(first) == "killed by signal 9");
  CHECK(end_of(second) == "killed by signal 9");
  for (const pid_t pid : helpers) CHECK_FALSE(sys::wait_for_end(pid, sys::open_pidfd(pid), 0ms));
  for (int i = 0; i < 3; ++i) go.put('x');
  for (const pid_t pid : helpers) CHECK(end_of(pid) == fine);
}

TEST_CASE("any other fork closes its copy of the parent's pipe", "[parent_watch]") {
  CHECK(in_child([] {
          const int pipe = sys::parent_pipe(sys::lock_forks());
          expect(in_child([&] {
                   expect(::fcntl(pipe, F_GETFD) == -1, "the write end is open");
                   // Whoever gets that number next keeps it in forks of his own.
                   const int reused = ::dup2(STDIN_FILENO, pipe);
                   expect(in_child([&] {
                            expect(::fcntl(reused, F_GETFD) != -1, "a stranger was closed");
                          }) == fine,
                          "a descriptor of a stranger was closed");
                 }) == fine,
                 "the fork failed");
          expect(::fcntl(pipe, F_GETFD) == FD_CLOEXEC, "the parent's own was closed");
        }) == fine);
}

TEST_CASE("preparing a fork that does not come leaves nothing", "[parent_watch]") {
  CHECK(in_child([] {
          const auto descriptors = [] {
            int count = 0;
            for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) != -1 ? 1 : 0;
            return count;
          };
          { const sys::WatchedFork without_pipe; }
          (void)sys::parent_pipe(sys::lock_forks());
          const int before = descriptors();
          for (int i = 0; i < 10; ++i) const sys::WatchedFork unused;
          expect(descriptors() == before, "descriptors are left open");
          const pid_t fork = start_child([&] {
            expect(descriptors() == before - 1, "a plain fork inherits more than it should");
          });
          expect(end_of(fork) == fine, "the fork failed");
        }) == fine);
}

TEST_CASE("a leaf keeps nothing of its parent's pipe", "[parent_watch]") {
  CHECK(in_child([] {
          const int pipe = sys::parent_pipe(sys::lock_forks());
          const pid_t parent = ::getpid();
          const sys::WatchedFork watched;
          expect(in_child([&] {
                   watch(pipe, parent);
                   expect(::fcntl(pipe, F_GETFD) == -1, "the write end is open in the leaf");
                   // The leaf's own pipe is another one.
                   const int own = sys::parent_pipe(sys::lock_forks());
                   expect(own >= 0 && ::fcntl(own, F_GETFD) == FD_CLOEXEC, "no pipe of its own");
                 }) == fine,
                 "the leaf failed");
        }) == fine);
}

TEST_CASE("a process has one pipe for its children", "[parent_watch]") {
  CHECK(in_child([] {
          const int first = sys::parent_pipe(sys::lock_forks());
          expect(sys::parent_pipe(sys::lock_forks()) == first, "it makes another one");
          expect(::fcntl(first, F_GETFD) == FD_CLOEXEC, "it passes to other programs");
        }) == fine);
}

TEST_CASE("a pipe that can't be had is a SystemError, and is tried again", "[parent_watch]") {
  CHECK(in_child([] {
          try {
            const Refusing refusing(sys::Call::pipe, EMFILE);
            (void)sys::parent_pipe(sys::lock_forks());
            expect(false, "it was made");
          } catch (const apalis::SystemError& error) {
            expect(error.code() == EMFILE, error.what());
            expect(std::string{error.what()}.find("ulimit -n") != std::string::npos, error.what());
          }
          expect(sys::parent_pipe(sys::lock_forks()) >= 0, "it is not tried again");
        }) == fine);
}
