// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <unistd.h>

#include <apalis/detail/process/child.hpp>
#include <apalis/detail/sys/process.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::detail::process::Child;
using apalis::test::end_of;
using apalis::test::fine;
using apalis::test::Pipe;
using apalis::test::start_child;
using namespace std::chrono_literals;

namespace {

/// A child that runs `body`, with a pidfd and without one.
template <class F>
Child child_running(F body) {
  const bool with_pidfd = GENERATE(true, false);
  CAPTURE(with_pidfd);
  const pid_t pid = start_child(std::move(body));
  return {pid, with_pidfd ? sys::open_pidfd(pid) : sys::Fd{}};
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("a child that runs has not ended", "[child]") {
  const Pipe done;
  auto child = child_running([&] { (void)done.take(); });
  CHECK(child.pid() > 0);
  CHECK_FALSE(child.has_ended());
  CHECK_FALSE(child.wait(0ms));
  CHECK_FALSE(child.wait(20ms));
  done.put('x');
  CHECK(child.wait(-1ms));
  CHECK(child.has_ended());
  CHECK(child.status().known);
  CHECK(child.status().status == 0);
  CHECK(child.status().signal == 0);
}

TEST_CASE("a child that has ended stays so, and is reaped", "[child]") {
  auto child = child_running([] { sys::exit_now(17); });
  CHECK(child.wait(60s));
  for (int i = 0; i < 3; ++i) {
    CHECK(child.has_ended());
    CHECK(child.wait(0ms));
    CHECK(child.status().status == 17);
  }
  CHECK(end_of(child.pid()) == "somebody else reaped it");
  child.signal(SIGKILL);  // must not hit whoever has that pid now
  child.kill();
  CHECK(child.status().status == 17);
}

TEST_CASE("kill ends a child, even one that takes no signals", "[child]") {
  const Pipe ready;
  auto child = child_running([&] {
    ::signal(SIGTERM, SIG_IGN);
    ready.put('x');
    sleep_for_ever();
  });
  (void)ready.take();
  child.signal(SIGTERM);
  CHECK_FALSE(child.wait(0ms));
  child.kill();
  CHECK(child.has_ended());
  CHECK(child.status().signal == SIGKILL);
  child.kill();  // once more is harmless
}

TEST_CASE("kill ends a child that is stopped", "[child]") {
  auto child = child_running([] { sleep_for_ever(); });
  child.signal(SIGSTOP);
  CHECK_FALSE(child.wait(0ms));
  child.kill();
  CHECK(child.status().signal == SIGKILL);
}

TEST_CASE("a child's end can be told even if somebody else reaped it", "[child]") {
  auto child = child_running([] {});
  CHECK(end_of(child.pid()) == fine);
  CHECK(child.has_ended());
  CHECK_FALSE(child.status().known);
  child.kill();
}

TEST_CASE("signals reach the child", "[child]") {
  auto child = child_running([] { sleep_for_ever(); });
  child.signal(SIGTERM);
  CHECK(child.wait(60s));
  CHECK(child.status().signal == SIGTERM);
}

TEST_CASE("a child moves", "[child]") {
  auto child = child_running([] { sleep_for_ever(); });
  const pid_t pid = child.pid();
  Child moved{std::move(child)};
  CHECK(moved.pid() == pid);
  CHECK_FALSE(moved.has_ended());
  Child assigned;
  assigned = std::move(moved);
  assigned.kill();
  CHECK(assigned.status().signal == SIGKILL);
}
