// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/leak_check.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace process = apalis::detail::process;
namespace sys = apalis::detail::sys;
using apalis::SystemError;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Pipe;
using apalis::test::read_all;
using apalis::test::Refusing;
using apalis::test::start_child;
using Catch::Matchers::ContainsSubstring;
using process::Child;
using namespace std::chrono_literals;

namespace {

/// A function as a body. `this` is a frame of the parent's: what it refers to is there as it stood.
class Body final : public process::ChildBody {
 public:
  explicit Body(std::function<void()> function) : function_(std::move(function)) {}
  void run() override { function_(); }

 private:
  std::function<void()> function_;
};

Child launch(const process::LaunchPlan& plan, std::function<void()> function) {
  Body body{std::move(function)};
  return process::launch(plan, body, sys::lock_forks());
}
Child launch(std::function<void()> function) {
  return launch({"apalis: test", {}}, std::move(function));
}

/// As end_of() of a pid says it.
std::string end_of(Child& child) {
  if (!child.wait(60s)) {
    child.kill();
    return "it hung";
  }
  const auto& status = child.status();
  if (!status.known) return "unknown";
  if (status.signal != 0) return "killed by signal " + std::to_string(status.signal);
  return status.status == 0 ? std::string{fine} : "exit status " + std::to_string(status.status);
}
std::string end_of(Child&& child) {
  return end_of(child);
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

bool has_no_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 && errno == ECHILD;
}

constexpr int no_such_core = 100'000;

}  // namespace

// The pipe that children watch is kept for the life of the process.
void apalis_test_warm_up() {
  (void)end_of(launch([] {}));
}

TEST_CASE("a launched child runs its body and ends with status 0", "[launcher]") {
  const Pipe words;
  const pid_t self = ::getpid();
  auto child = launch([&] {
    words.put(::getpid());
    words.put(::getppid());
  });
  CHECK(words.take<pid_t>() == child.pid());
  CHECK(words.take<pid_t>() == self);
  CHECK(end_of(child) == fine);
}

TEST_CASE("a body finds the parent's memory as it stood", "[launcher]") {
  std::string text = "before";
  auto child = launch([&] { sys::exit_now(text == "before" ? 0 : 1); });
  text = "after";
  CHECK(end_of(child) == fine);
}

TEST_CASE("a body that throws ends with status 70", "[launcher]") {
  CHECK(end_of(launch([] { throw std::runtime_error("no"); })) == "exit status 70");
  CHECK(end_of(launch([] { throw 5; })) == "exit status 70");
}

TEST_CASE("a body that crashes tells its signal", "[launcher]") {
  CHECK(end_of(launch([] {
          apalis::test::die_plainly();
          std::abort();
        })) == "killed by signal 6");
}

TEST_CASE("a child has its title", "[launcher]") {
  CHECK(end_of(launch({"apalis: Counter", {}}, [] {
          expect(read_all("/proc/self/comm") == "apalis: Counter\n", "comm");
          expect(read_all("/proc/self/cmdline").starts_with(std::string{"apalis: Counter\0", 16}),
                 "cmdline");
        })) == fine);
}

TEST_CASE("a child can be pinned to a core", "[launcher]") {
  cpu_set_t allowed;
  REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(static_cast<std::size_t>(core), &allowed)) continue;
    const Pipe go;
    auto child = launch({"apalis: pinned", core}, [&] { (void)go.take(); });
    cpu_set_t set;
    REQUIRE(::sched_getaffinity(child.pid(), sizeof set, &set) == 0);
    CHECK(CPU_COUNT(&set) == 1);
    CHECK(CPU_ISSET(static_cast<std::size_t>(core), &set));
    go.put('x');
    CHECK(end_of(child) == fine);
  }
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&after, &allowed));
}

TEST_CASE("a core that does not exist is a SystemError, and no child is left", "[launcher]") {
  for (const int core : {no_such_core, -1}) {
    try {
      (void)launch({"apalis: nowhere", core}, [] { sleep_for_ever(); });
      FAIL("it was launched");
    } catch (const SystemError& error) {
      CHECK(error.code() == EINVAL);
      CHECK_THAT(error.what(), ContainsSubstring("core " + std::to_string(core)));
      CHECK_THAT(error.what(), ContainsSubstring("taskset"));
    }
    CHECK(has_no_children());
  }
}

TEST_CASE("a fork that fails is a SystemError, and nothing is made", "[launcher]") {
  {
    const Refusing refusing(sys::Call::fork, EAGAIN);
    CHECK_THROWS_AS(launch([] {}), SystemError);
  }
  CHECK(has_no_children());
  CHECK(end_of(launch([] {})) == fine);
}

TEST_CASE("without a pipe to watch there is no child", "[launcher]") {
  CHECK(in_child([] {  // which has no pipe yet
          const Refusing refusing(sys::Call::pipe, EMFILE);
          try {
            (void)launch([] {});
          } catch (const SystemError& error) {
            expect(error.code() == EMFILE, error.what());
            expect(has_no_children(), "a child is left");
            return;
          }
          expect(false, "it was launched");
        }) == fine);
}

TEST_CASE("a kernel without pidfds launches children too", "[launcher]") {
  const Refusing refusing(sys::Call::pidfd_open, ENOSYS);
  CHECK(end_of(launch([] {})) == fine);
  CHECK(end_of(launch([] { throw 1; })) == "exit status 70");
  auto child = launch([] { sleep_for_ever(); });
  CHECK_FALSE(child.wait(10ms));
  child.kill();
  CHECK(child.status().signal == SIGKILL);
}

TEST_CASE("a child can be waited for and killed", "[launcher]") {
  auto child = launch([] { sleep_for_ever(); });
  CHECK_FALSE(child.wait(0ms));
  CHECK_FALSE(child.wait(30ms));
  child.kill();
  CHECK(child.has_ended());
  CHECK(child.status().signal == SIGKILL);
}

TEST_CASE("a child leaves SIGINT to its parent", "[launcher]") {
  const Pipe ready, go;
  auto child = launch([&] {
    ready.put('x');
    (void)go.take();
  });
  (void)ready.take();
  child.signal(SIGINT);
  go.put('x');
  CHECK(end_of(child) == fine);
}

TEST_CASE("children do not run exit handlers, and their own end runs nothing of the parent's",
          "[launcher]") {
  static const Pipe* marks;
  const Pipe pipe;
  marks = &pipe;
  CHECK(in_child([] {
          std::atexit([] { marks->put('x'); });
          expect(end_of(launch([] {})) == fine, "the child failed");
          expect(end_of(launch([] { throw 1; })) == "exit status 70", "the child did not fail");
        }) == fine);
  pipe.put('e');
  CHECK(pipe.take() == 'e');
}

TEST_CASE("a body that calls exit runs its own exit handlers, and none of its parent's",
          "[launcher]") {
  static const Pipe* marks;
  const Pipe pipe;
  marks = &pipe;
  CHECK(in_child([] {
          std::atexit([] { marks->put('p'); });
          expect(end_of(launch([] {
                   std::atexit([] { marks->put('c'); });
                   std::exit(7);
                 })) == "exit status 7",
                 "the exit status");
        }) == fine);
  CHECK(pipe.take() == 'c');
  pipe.put('e');
  CHECK(pipe.take() == 'e');
}

TEST_CASE("a body that calls exit writes its output, and not its parent's", "[launcher]") {
  CHECK(in_child([] {
          const int fd = ::memfd_create("apalis-output", MFD_CLOEXEC);
          expect(fd >= 0 && ::dup2(fd, STDOUT_FILENO) >= 0, "no file for the output");
          static std::array<char, 4096> buffer;
          std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
          std::fputs("parent,", stdout);
          expect(end_of(launch([] {
                   std::fputs("child,", stdout);
                   std::exit(0);
                 })) == fine,
                 "the child failed");
          std::array<char, 64> text{};
          const auto length = ::pread(fd, text.data(), text.size(), 0);
          const std::string all(text.data(), static_cast<std::size_t>(length));
          expect(all == "child,", "'" + all + "' was written");
        }) == fine);
}

TEST_CASE("destructors of the parent's frames do not run in the child", "[launcher]") {
  struct Mark {
    const Pipe& pipe;
    pid_t owner = ::getpid();
    ~Mark() {
      if (::getpid() != owner) pipe.put('x');
    }
  };
  const Pipe pipe;
  {
    const Mark mark{pipe};
    CHECK(end_of(launch([] {})) == fine);
    CHECK(end_of(launch([] { throw 1; })) == "exit status 70");
  }
  pipe.put('e');
  CHECK(pipe.take() == 'e');
}

TEST_CASE("a child writes its own output and not its parent's", "[launcher]") {
  CHECK(in_child([] {
          const int fd = ::memfd_create("apalis-output", MFD_CLOEXEC);
          expect(fd >= 0 && ::dup2(fd, STDOUT_FILENO) >= 0, "no file for the output");
          static std::array<char, 4096> buffer;
          std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
          std::fputs("parent,", stdout);
          expect(end_of(launch([] { std::cout << "child,"; })) == fine, "the child failed");
          expect(end_of(launch([] {
                   std::cout << "failing,";
                   throw 1;
                 })) == "exit status 70",
                 "the child did not fail");
          std::fflush(stdout);
          std::array<char, 256> text{};
          const auto length = ::pread(fd, text.data(), text.size(), 0);
          const std::string all(text.data(), static_cast<std::size_t>(length));
          expect(all == "child,failing,parent,", "'" + all + "' was written");
        }) == fine);
}

TEST_CASE("a child knows its parent", "[launcher]") {
  CHECK(process::this_child().parent == 0);
  CHECK_FALSE(process::this_child().parent_watched);
  const pid_t self = ::getpid();
  CHECK(end_of(launch([&] {
          expect(process::this_child().parent == self, "the parent");
          expect(process::this_child().parent_watched, "the watch");
        })) == fine);
  CHECK(process::this_child().parent == 0);
}

TEST_CASE("a fork of a child is no child of launch()", "[launcher]") {
  CHECK(end_of(launch([&] {
          expect(in_child([] {
                   const pid_t parent = process::this_child().parent;
                   expect(parent == 0, "it says that " + std::to_string(parent) + " launched it");
                 }) == fine,
                 "the fork has its parent's identity");
        })) == fine);
}

TEST_CASE("a child without a watch says so", "[launcher]") {
  const Refusing refusing(sys::Call::watch_parent, EACCES);
  const pid_t self = ::getpid();
  CHECK(end_of(launch([&] {
          expect(process::this_child().parent == self, "the parent");
          expect(!process::this_child().parent_watched, "the watch");
        })) == fine);
}

TEST_CASE("a child launches children of its own", "[launcher]") {
  CHECK(end_of(launch([] {
          const pid_t self = ::getpid();
          const auto end = end_of(launch([&] {
            expect(process::this_child().parent == self, "the parent");
            expect(process::this_child().parent_watched, "the watch");
          }));
          expect(end == fine, "the grandchild failed: " + end);
        })) == fine);
}

TEST_CASE("the lock on forks is free in the child", "[launcher]") {
  CHECK(end_of(launch([] {
          const auto held = sys::lock_forks();
          expect(held.owns_lock(), "the lock is not held");
        })) == fine);
}

TEST_CASE("a child ends with its parent, even one that spins", "[launcher]") {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const Pipe pids;
  const pid_t parent = start_child([&] {
    const auto child = launch([&] {
      pids.put(::getpid());
      for (volatile unsigned turns = 0;;) turns = turns + 1;
    });
    (void)child;
    sleep_for_ever();
  });
  const auto child = pids.take<pid_t>();
  ::kill(parent, SIGKILL);
  CHECK(apalis::test::end_of(parent) == "killed by signal 9");
  CHECK(apalis::test::end_of(child) == "killed by signal 9");
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("many children one after the other leave nothing", "[launcher]") {
  for (int i = 0; i < 100; ++i) CHECK(end_of(launch([] {})) == fine);
  CHECK(has_no_children());
}
