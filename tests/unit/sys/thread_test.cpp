// SPDX-License-Identifier: BSL-1.0
#include <signal.h>

#include <apalis/detail/sys/thread.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cerrno>
#include <string>

#include "support/catch.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::Refusing;

TEST_CASE("a thread runs its body once, under its name, with signals blocked", "[thread]") {
  struct Seen {
    int runs = 0;
    std::string name;
    bool blocked = false;
  } seen;
  sys::Thread thread{"a name that is too long for the kernel",
                     [](void* argument) {
                       auto& s = *static_cast<Seen*>(argument);
                       ++s.runs;
                       std::array<char, 32> name{};
                       ::pthread_getname_np(::pthread_self(), name.data(), name.size());
                       s.name = name.data();
                       sigset_t mask;
                       ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
                       s.blocked = ::sigismember(&mask, SIGTERM) == 1;
                     },
                     &seen};
  thread.join();
  thread.join();
  CHECK(seen.runs == 1);
  CHECK(seen.blocked);
  CHECK(seen.name == "a name that is ");
}

TEST_CASE("the starter's signals are as they were", "[thread]") {
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &before);
  sys::Thread thread{"t", [](void*) {}, nullptr};
  thread.join();
  sigset_t after;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal)
    CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

TEST_CASE("a thread that can't be started is an error, and nothing to join", "[thread]") {
  const Refusing refusing{sys::Call::thread, EAGAIN};
  CHECK_THROWS_AS((sys::Thread{"t", [](void*) {}, nullptr}), apalis::SystemError);
  sys::Thread none;
  none.join();
}
