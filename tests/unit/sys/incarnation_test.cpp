// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/detail/sys/incarnation.hpp>
#include <cerrno>

#include "support/catch.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;

TEST_CASE("a process knows its own incarnation", "[incarnation]") {
  const auto own = sys::own_incarnation();
  CHECK(sys::pid_of(own) == ::getpid());
  CHECK(own >> 32 != 0);
  CHECK(own == sys::incarnation_of(::getpid()));
  CHECK(own == sys::own_incarnation());
  CHECK(!sys::has_ended(own));
}

TEST_CASE("a process is told from another one of its pid", "[incarnation]") {
  const auto own = sys::own_incarnation();
  CHECK(sys::has_ended(own + (std::uint64_t{1} << 32)));
  CHECK(!sys::has_ended(static_cast<std::uint32_t>(own)));  // with an unknown start
}

TEST_CASE("a process has ended before it is reaped, and after", "[incarnation]") {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::prctl(PR_SET_NAME, ") R 1 2 (");  // the kernel writes it into the line as it is
    const auto own = sys::own_incarnation();
    if (::write(told[1], &own, sizeof own) != sizeof own) ::_exit(1);
    for (;;) ::pause();
  }
  sys::Incarnation its_own = 0;
  REQUIRE(::read(told[0], &its_own, sizeof its_own) == sizeof its_own);
  CHECK(its_own == sys::incarnation_of(child));
  CHECK(!sys::has_ended(its_own));
  ::kill(child, SIGKILL);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(sys::has_ended(its_own));  // a zombie
  CHECK(sys::incarnation_of(child) == its_own);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(sys::has_ended(its_own));
  ::close(told[0]);
  ::close(told[1]);
}

TEST_CASE("without /proc a process is known by its pid alone", "[incarnation]") {
  const apalis::test::Refusing refusing{sys::Call::find_process, ENOENT};
  CHECK(sys::incarnation_of(::getpid()) == static_cast<std::uint32_t>(::getpid()));
  CHECK(!sys::has_ended(static_cast<std::uint32_t>(::getpid())));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(sys::has_ended(static_cast<std::uint32_t>(child)));
}

TEST_CASE("what is no process has not ended", "[incarnation]") {
  CHECK(!sys::has_ended(0));
  CHECK(!sys::has_ended(0x80000000));
  CHECK(!sys::has_ended(0xffffffff));
}
