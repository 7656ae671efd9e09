// SPDX-License-Identifier: BSL-1.0
// A program that only waits for notify_fd() ends a call that runs too long.
#include <poll.h>
#include <unistd.h>

#include <apalis/coroutine.hpp>
#include <apalis/event_loop.hpp>
#include <apalis/handler.hpp>
#include <chrono>

#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

struct Worker {
  int at_once(int x) { return x; }
  void never() {
    for (;;) ::pause();
  }
};

apalis::Coroutine<> never_end(apalis::Handler<Worker>& h, apalis::CallOptions options,
                              bool& timed_out) {
  try {
    co_await h.call(options, &Worker::never);
  } catch (const apalis::TimedOut&) {
    timed_out = true;
  }
}

/// Gives up if the descriptor says nothing for so long.
void serve_until(const bool& done) {
  while (!done) {
    pollfd watched{apalis::notify_fd(), POLLIN, 0};
    REQUIRE(::poll(&watched, 1, 10'000) == 1);
    apalis::poll();
  }
}

}  // namespace

TEST_CASE("an event loop learns of a time limit, however soon the call begins after another") {
  apalis::Handler<Worker> h{{.restart = {.max = 100, .backoff = 0ms}, .timeout = 30ms},
                            std::in_place};
  for (int i = 0; i < 5; ++i) {
    bool timed_out = false;
    auto before = h.call(&Worker::at_once, i).then([](int x) { return x; });
    auto ended = apalis::start(never_end(h, {}, timed_out));
    serve_until(timed_out);
    CHECK(before.get() == i);
  }
}

TEST_CASE("an event loop learns of the limit of one call behind calls without") {
  apalis::Handler<Worker> h;
  bool timed_out = false;
  auto before = h.call(&Worker::at_once, 1).then([](int x) { return x; });
  auto ended = apalis::start(never_end(h, {.timeout = 30ms}, timed_out));
  serve_until(timed_out);
}
