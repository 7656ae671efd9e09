// SPDX-License-Identifier: BSL-1.0
// A call that runs too long is ended with its worker; the others are not its victims.
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Options;
using apalis::TimedOut;
using apalis::WorkerDied;
using namespace std::chrono_literals;

namespace {

struct Slow {
  int total = 0;
  Gate* entered = nullptr;

  int add(int x) { return total += x; }
  int spin() {
    if (entered != nullptr) entered->open();
    for (;;) asm volatile("");
  }
  int sleep_for_ever() {
    for (;;) ::pause();
  }
  int generation() const { return static_cast<int>(apalis::this_worker().generation()); }
};

struct SlowToMake {
  SlowToMake() {
    for (;;) ::pause();
  }
  int zero() { return 0; }
};

template <class R>
TimedOut overdue(apalis::Token<R> token) {
  if (!token.wait_for(60s)) throw std::runtime_error("the token hangs");
  try {
    token.get();
  } catch (const TimedOut& e) {
    return e;
  }
  throw std::runtime_error("the call was not ended");
}

}  // namespace

TEST_CASE("a call that runs too long is ended, spinning or asleep", "[time_limit]") {
  Handler<Slow> h{{.restart = {.max = 5}}, std::in_place};
  const auto spinning = overdue(h.call<&Slow::spin>({.timeout = 20ms}));
  CHECK_THAT(std::string(spinning.what()), Catch::Contains("20 ms") && Catch::Contains("spin"));
  (void)overdue(h.call<&Slow::sleep_for_ever>({.timeout = 1ms}));
  CHECK(h.call(&Slow::generation).get() == 2);
}

TEST_CASE("the handler's limit holds for each call that has none of its own", "[time_limit]") {
  Gate entered;
  Handler<Slow> h{
      {.restart = {.max = 5}, .timeout = 30ms}, apalis::carry, Slow{.entered = &entered}};
  (void)overdue(h.call(&Slow::spin));
  CHECK(h.call(&Slow::add, 1).get() == 1);
  auto long_one = h.call({.timeout = 1h}, &Slow::spin);
  entered.pass();
  entered.pass();
  CHECK(!long_one.wait_for(100ms));
  CHECK(long_one.cancel(apalis::force));
}

TEST_CASE("one-way calls have the handler's limit too", "[time_limit]") {
  Handler<Slow> h{{.restart = {.max = 1}, .timeout = 30ms}, std::in_place};
  h.post(&Slow::spin);
  h.post(&Slow::add, 5);
  CHECK(h.call(&Slow::add, 1).get() == 6);
  CHECK_THROWS_AS(h.drain(), apalis::PostError);
}

TEST_CASE("time in the queue does not count", "[time_limit]") {
  Gate entered;
  Handler<Slow> h{{.restart = {.max = 1}}, apalis::carry, Slow{.entered = &entered}};
  auto first = h.call({.timeout = 300ms}, &Slow::spin);
  std::vector<apalis::Token<int>> behind;
  for (int i = 0; i < 100; ++i) behind.push_back(h.call({.timeout = 250ms}, &Slow::add, 1));
  (void)overdue(std::move(first));
  for (int i = 0; i < 100; ++i) CHECK(behind[static_cast<std::size_t>(i)].get() == i + 1);
}

TEST_CASE("a worker that idles for longer than the limit is left alone", "[time_limit]") {
  Gate never;
  Handler<Slow> h{{.timeout = 20ms}, std::in_place};
  CHECK(h.call(&Slow::add, 1).get() == 1);
  h.post(&Slow::add, 1);
  h.drain();
  const pid_t pid = h.pid();
  CHECK(!never.pass_within(100ms));
  for (int i = 0; i < 5; ++i) CHECK(h.alive());
  CHECK(h.call(&Slow::add, 1).get() == 3);
  CHECK(h.pid() == pid);
}

TEST_CASE("without a restart policy an overdue call takes the others with it", "[time_limit]") {
  Handler<Slow> h;
  auto spinning = h.call({.timeout = 20ms}, &Slow::spin);
  auto behind = h.call(&Slow::add, 1);
  (void)overdue(std::move(spinning));
  try {
    behind.get();
    FAIL("a call after its worker's end has a result");
  } catch (const WorkerDied& e) {
    CHECK(e.signal() == SIGKILL);
    CHECK_THAT(e.hint(), Catch::Contains("timeout of 20 ms"));
  }
  CHECK(!h.alive());
}

TEST_CASE("a constructor has the limit too, and is not tried for ever", "[time_limit]") {
  Handler<SlowToMake> h{{.restart = {.max = 2, .backoff = 1ms}, .timeout = 20ms}, std::in_place};
  auto t = h.call(&SlowToMake::zero);
  REQUIRE(t.wait_for(60s));
  CHECK_THROWS_AS(t.get(), WorkerDied);
  CHECK(h.restarts() == 2);
}

TEST_CASE("a caller that only polls sees the limit too", "[time_limit]") {
  Handler<Slow> h;
  auto t = h.call({.timeout = 20ms}, &Slow::spin);
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  while (!t.ready()) REQUIRE(std::chrono::steady_clock::now() < give_up);
  CHECK_THROWS_AS(t.get(), TimedOut);
}

TEST_CASE("an overdue call is not retried", "[time_limit]") {
  Handler<Slow> h{{.restart = {.max = 5}}, std::in_place};
  (void)overdue(h.call({.timeout = 20ms, .retries = 3}, &Slow::spin));
  CHECK(h.restarts() == 1);
}

TEST_CASE("the serial backend says that it has no limits", "[time_limit]") {
  Options serial{.backend = apalis::Backend::serial};
  Handler<Slow> h{serial, std::in_place};
  CHECK_THROWS_AS(h.call({.timeout = 1s}, &Slow::add, 1), apalis::Error);
  CHECK(h.call({.retries = 1}, &Slow::add, 1).get() == 1);
  serial.timeout = 1s;
  CHECK_THROWS_AS((Handler<Slow>{serial, std::in_place}), apalis::Error);
}
