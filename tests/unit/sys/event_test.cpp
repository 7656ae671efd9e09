// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <unistd.h>

#include <apalis/detail/sys/event.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <chrono>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::fine;
using apalis::test::Refusing;
using apalis::test::start_child;
using namespace std::chrono_literals;

namespace {

bool readable(int fd, std::chrono::milliseconds limit = 0ms) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(limit.count())) == 1;
}

}  // namespace

TEST_CASE("an event is readable from the signal to the clearing", "[event]") {
  const auto event = sys::make_event();
  CHECK_FALSE(readable(event.get()));
  sys::signal_event(event.get());
  sys::signal_event(event.get());
  CHECK(readable(event.get()));
  sys::clear_event(event.get());
  CHECK_FALSE(readable(event.get()));
  sys::clear_event(event.get());
}

TEST_CASE("signalling leaves errno alone", "[event]") {
  errno = EDOM;
  sys::signal_event(-1);
  CHECK(errno == EDOM);
}

TEST_CASE("a child signals its parent's event", "[event]") {
  const auto event = sys::make_event();
  const auto child = start_child([&] { sys::signal_event(event.get()); });
  CHECK(readable(event.get(), 20s));
  CHECK(end_of(child) == fine);
}

TEST_CASE("a set is readable while its event is", "[event]") {
  const auto event = sys::make_event();
  const sys::EventSet set{event.get()};
  CHECK_FALSE(readable(set.fd()));
  sys::signal_event(event.get());
  CHECK(readable(set.fd()));
  sys::clear_event(event.get());
  CHECK_FALSE(readable(set.fd()));
}

TEST_CASE("a set is readable once a process in it has ended, until that is removed", "[event]") {
  const auto event = sys::make_event();
  sys::EventSet set{event.get()};
  const auto gate = sys::make_event();
  const auto child = start_child([&] { readable(gate.get(), 20s); });
  auto watched = set.add_process(child);
  if (!watched) return;  // no pidfds here
  CHECK_FALSE(readable(set.fd()));
  sys::signal_event(gate.get());
  CHECK(readable(set.fd(), 20s));
  set.remove(watched);
  CHECK_FALSE(watched);
  CHECK_FALSE(readable(set.fd()));
  CHECK(end_of(child) == fine);
}

TEST_CASE("a set's timer makes it readable, and a negative one does not", "[event]") {
  const auto event = sys::make_event();
  sys::EventSet set{event.get()};
  set.set_timer(0ns);
  CHECK(readable(set.fd(), 20s));
  set.set_timer(-1ns);
  CHECK_FALSE(readable(set.fd()));
  set.set_timer(1h);
  CHECK_FALSE(readable(set.fd()));
}

TEST_CASE("without descriptors there is no event, but an error", "[event]") {
  const Refusing refusing{sys::Call::event, EMFILE};
  CHECK_THROWS_AS(sys::make_event(), apalis::SystemError);
  CHECK_THROWS_AS(sys::EventSet{-1}, apalis::SystemError);
}
