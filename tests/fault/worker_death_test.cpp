// SPDX-License-Identifier: BSL-1.0
// A worker that dies is WorkerDied with the particulars, and never a hang.
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;
using apalis::WorkerDied;
using namespace std::chrono_literals;

namespace {

struct Mortal {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  int calls = 0;

  int count() { return ++calls; }
  // The framework's own handlers came along by fork: they must not report in the child.
  int die_by(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 0;
  }
  int exit_with(int status) { std::exit(status); }
  int quit_with(int status) { ::_exit(status); }
  int abort_now() {
    ::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  int terminate_now() {
    ::signal(SIGABRT, SIG_DFL);
    std::terminate();
  }
  int refuse() { throw std::runtime_error("refused"); }
  int throw_past_noexcept() noexcept {  // NOLINT(bugprone-exception-escape)
    ::signal(SIGABRT, SIG_DFL);
    return refuse();
  }
  int wait_and_die(int signal) {
    entered->open();
    leave->pass();
    return die_by(signal);
  }
};

// Dies while it is taken apart or put together, in the middle of a large message.
struct Poison {
  enum class When { loading, saving };
  When when = When::loading;
  pid_t maker = ::getpid();
  std::vector<std::string> chunks;

  template <class Archive>
  void save(Archive& archive) const {
    archive(static_cast<int>(when), static_cast<int>(maker), chunks.size());
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      if (when == When::saving && ::getpid() != maker && i == chunks.size() / 2) ::raise(SIGKILL);
      archive(chunks[i]);
    }
  }
  template <class Archive>
  void load(Archive& archive) {
    int w = 0;
    int m = 0;
    std::size_t n = 0;
    archive(w, m, n);
    when = static_cast<When>(w);
    maker = static_cast<pid_t>(m);
    chunks.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      if (when == When::loading && ::getpid() != maker && i == n / 2) ::raise(SIGKILL);
      archive(chunks[i]);
    }
  }
};

struct Victim {
  Poison pass(Poison p) { return p; }
  int zero() { return 0; }
};

// The WorkerDied that a token ends with; fails the test if it hangs or ends otherwise.
template <class R>
WorkerDied death_of(Token<R>& token) {
  if (!token.wait_for(60s)) throw std::runtime_error("the token hangs");
  try {
    token.get();
  } catch (const WorkerDied& e) {
    return e;
  }
  throw std::runtime_error("the token has a result");
}

template <class R>
WorkerDied death_of(Token<R>&& token) {
  return death_of(token);
}

void check_signal(const WorkerDied& e, pid_t pid, int signal) {
  CHECK(e.pid() == pid);
  CHECK(e.signal() == signal);
  CHECK(e.exit_status() == -1);
  CHECK(std::string(e.what()).size() > 20);
}

void check_exit(const WorkerDied& e, pid_t pid, int status) {
  CHECK(e.pid() == pid);
  CHECK(e.signal() == 0);
  CHECK(e.exit_status() == status);
  CHECK(std::string(e.what()).size() > 20);
}

}  // namespace

TEST_CASE("a worker killed in mid-call is WorkerDied with its signal and call", "[death]") {
  const int signal = GENERATE(SIGKILL, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGABRT);
  CAPTURE(signal);
  Handler<Mortal> h;
  const pid_t pid = h.pid();
  CHECK(h.call(&Mortal::count).get() == 1);
  auto t = h.call<&Mortal::die_by>(signal);
  const WorkerDied e = death_of(t);
  check_signal(e, pid, signal);
  CAPTURE(e.call(), e.what());
  CHECK(e.call().find("die_by") != std::string::npos);
  CHECK_THROWS_AS(t.get(), WorkerDied);  // again
  CHECK_FALSE(h.alive());
}

TEST_CASE("the call in progress has a name even for a run-time pointer", "[death]") {
  Handler<Mortal> h;
  CHECK_FALSE(death_of(h.call(&Mortal::die_by, SIGKILL)).call().empty());
}

TEST_CASE("a worker that exits in mid-call is WorkerDied with its status", "[death]") {
  {
    Handler<Mortal> h;
    check_exit(death_of(h.call(&Mortal::exit_with, 3)), h.pid(), 3);
  }
  {
    Handler<Mortal> h;
    check_exit(death_of(h.call(&Mortal::quit_with, 4)), h.pid(), 4);
  }
  {
    Handler<Mortal> h;
    check_exit(death_of(h.call(&Mortal::exit_with, 0)), h.pid(), 0);
  }
}

TEST_CASE("abort, terminate and a throw past noexcept are WorkerDied by SIGABRT", "[death]") {
  Handler<Mortal> a;
  check_signal(death_of(a.call(&Mortal::abort_now)), a.pid(), SIGABRT);
  Handler<Mortal> b;
  check_signal(death_of(b.call(&Mortal::terminate_now)), b.pid(), SIGABRT);
  Handler<Mortal> c;
  check_signal(death_of(c.call(&Mortal::throw_past_noexcept)), c.pid(), SIGABRT);
}

TEST_CASE("a worker that dies between calls is noticed at the next touch", "[death]") {
  Handler<Mortal> h;
  CHECK(h.call(&Mortal::count).get() == 1);
  const pid_t pid = h.pid();
  const Watched worker(pid);
  worker.signal(SIGKILL);
  REQUIRE(worker.ends());
  CHECK_FALSE(h.alive());
  const WorkerDied e = death_of(h.call(&Mortal::count));
  check_signal(e, pid, SIGKILL);
  CHECK(e.call().empty());
  check_signal(death_of(h.call<&Mortal::count>()), pid, SIGKILL);
  check_signal(death_of(h.get(&Mortal::calls)), pid, SIGKILL);
}

TEST_CASE("every one of 1000 queued calls is told of the death", "[death]") {
  Gate entered, leave;
  Handler<Mortal> h{std::in_place, &entered, &leave};
  std::vector<Token<int>> done;
  for (int i = 0; i < 100; ++i) done.push_back(h.call(&Mortal::count));
  auto running = h.call(&Mortal::wait_and_die, SIGKILL);
  std::vector<Token<int>> queued;
  for (int i = 0; i < 1000; ++i) queued.push_back(h.call(&Mortal::count));
  entered.pass();
  leave.open();
  check_signal(death_of(running), h.pid(), SIGKILL);
  for (auto& t : queued) check_signal(death_of(t), h.pid(), SIGKILL);
  for (std::size_t i = 0; i < done.size(); ++i) CHECK(done[i].get() == static_cast<int>(i) + 1);
}

TEST_CASE("large queued calls are told of the death as well", "[death]") {
  Gate entered, leave;
  Handler<Mortal> h{std::in_place, &entered, &leave};
  auto running = h.call(&Mortal::wait_and_die, SIGSEGV);
  entered.pass();
  const auto size_of = [](Mortal&, const std::string& s) { return s.size(); };
  std::vector<Token<std::size_t>> queued;
  queued.push_back(h.call(size_of, std::string(1000, 'a')));
  leave.open();  // the death may come while these are being sent: that must not hang either
  for (int i = 0; i < 20; ++i) queued.push_back(h.call(size_of, std::string(10'000'000, 'b')));
  check_signal(death_of(running), h.pid(), SIGSEGV);
  for (auto& t : queued) check_signal(death_of(t), h.pid(), SIGSEGV);
}

TEST_CASE("each way of waiting ends when the worker dies", "[death]") {
  Gate entered, leave;
  const auto doomed = [&](auto wait) {
    Handler<Mortal> h{std::in_place, &entered, &leave};
    auto t = h.call(&Mortal::wait_and_die, SIGKILL);
    entered.pass();
    leave.open();
    wait(h, t);
    CHECK_THROWS_AS(t.get(), WorkerDied);
  };
  doomed([](auto&, auto& t) { t.wait(); });
  doomed([](auto&, auto& t) { CHECK(t.wait_for(60s)); });
  doomed([](auto&, auto& t) {
    std::vector<Token<int>> tokens;
    tokens.push_back(std::move(t));
    CHECK(apalis::wait(tokens, {.count = 1, .timeout = 60s}).ready.size() == 1);
    t = std::move(tokens[0]);
  });
  doomed([](auto& h, auto&) { CHECK_THROWS_AS(h.drain(), apalis::Error); });
  doomed([](auto& h, auto&) { CHECK_THROWS_AS(h.close(), apalis::Error); });
  doomed([](auto& h, auto&) { auto ends_here = std::move(h); });
}

TEST_CASE("polling a token ends when the worker dies", "[death]") {
  Handler<Mortal> h;
  auto t = h.call(&Mortal::die_by, SIGKILL);
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!t.ready() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(t.ready());
  CHECK_THROWS_AS(t.try_get(), WorkerDied);
}

TEST_CASE("wait without bound and get without wait end when the worker dies", "[death]") {
  for (int round = 0; round < 20; ++round) {
    Handler<Mortal> h;
    CHECK_THROWS_AS(h.call(&Mortal::die_by, SIGKILL).get(), WorkerDied);
  }
}

TEST_CASE("posts to a dead worker surface at drain", "[death]") {
  Handler<Mortal> h;
  h.post(&Mortal::count);
  h.post(&Mortal::die_by, SIGKILL);
  for (int i = 0; i < 10; ++i) {
    try {
      h.post(&Mortal::count);
    } catch (const apalis::Error&) {  // also fine: the death was noticed meanwhile
    }
  }
  CHECK_THROWS_AS(h.drain(), apalis::Error);
}

TEST_CASE("posts that fill the buffers of a dead worker do not hang", "[death]") {
  Handler<Mortal> h;
  h.post(&Mortal::die_by, SIGKILL);
  const auto swallow = [](Mortal&, const std::string&) {};
  try {
    for (int i = 0; i < 100; ++i) h.post(swallow, std::string(1'000'000, 'x'));
  } catch (const apalis::Error&) {
  }
  CHECK_THROWS_AS(h.drain(), apalis::Error);
}

TEST_CASE("a worker that dies while it decodes a 64 MB argument", "[death]") {
  Handler<Victim> h;
  Poison p;
  p.when = Poison::When::loading;
  p.chunks.assign(64, std::string(1'000'000, 'p'));
  auto t = h.call(&Victim::pass, p);
  check_signal(death_of(t), h.pid(), SIGKILL);
}

TEST_CASE("a worker that dies while it encodes a 64 MB result", "[death]") {
  Handler<Victim> h;
  Poison p;
  p.when = Poison::When::saving;
  p.chunks.assign(64, std::string(1'000'000, 'p'));
  auto t = h.call(&Victim::pass, p);
  check_signal(death_of(t), h.pid(), SIGKILL);
  CHECK_THROWS_AS(h.call(&Victim::zero).get(), WorkerDied);
}

TEST_CASE("a batch on a worker that dies is WorkerDied", "[death]") {
  Handler<Mortal> h;
  std::vector<apalis::Call<Mortal, int>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(h.prepare(&Mortal::count));
  calls.push_back(h.prepare(&Mortal::die_by, SIGKILL));
  for (int i = 0; i < 10; ++i) calls.push_back(h.prepare(&Mortal::count));
  auto t = h.multiple_run(calls);
  check_signal(death_of(t), h.pid(), SIGKILL);
  CHECK_THROWS_AS(h.run(calls), WorkerDied);
}

TEST_CASE("the death of one worker leaves the others alone", "[death]") {
  Handler<Mortal> good;
  Handler<Mortal> bad;
  Handler<Mortal> other;
  auto t = bad.call(&Mortal::die_by, SIGSEGV);
  CHECK(good.call(&Mortal::count).get() == 1);
  check_signal(death_of(t), bad.pid(), SIGSEGV);
  CHECK(good.call(&Mortal::count).get() == 2);
  CHECK(other.call(&Mortal::count).get() == 1);
  Handler<Mortal> later;
  CHECK(later.call(&Mortal::count).get() == 1);
}

TEST_CASE("a constructor that kills its worker is WorkerDied at the first call", "[death]") {
  struct Stillborn {
    Stillborn() { ::raise(SIGKILL); }
    int value() { return 1; }
  };
  Handler<Stillborn> h;
  check_signal(death_of(h.call(&Stillborn::value)), h.pid(), SIGKILL);
}

TEST_CASE("an object whose destructor kills its worker ends without a hang", "[death]") {
  struct Brittle {
    ~Brittle() { ::raise(SIGKILL); }
    int value() { return 1; }
  };
  Token<int> t;
  {
    Handler<Brittle> h;
    t = h.call(&Brittle::value);
  }
  CHECK(t.get() == 1);
}

TEST_CASE("kill ends the worker whatever it does and fails what was accepted", "[death]") {
  Gate entered, leave;
  Handler<Mortal> h{std::in_place, &entered, &leave};
  const Watched worker(h.pid());
  auto running = h.call(&Mortal::wait_and_die, SIGKILL);
  std::vector<Token<int>> queued;
  for (int i = 0; i < 50; ++i) queued.push_back(h.call(&Mortal::count));
  entered.pass();
  h.kill();
  CHECK(worker.ends());
  check_signal(death_of(running), h.pid(), SIGKILL);
  for (auto& t : queued) CHECK_THROWS_AS(t.get(), apalis::Error);
  CHECK_FALSE(h.alive());
  CHECK_THROWS_AS(h.call(&Mortal::count).get(), WorkerDied);
  CHECK_NOTHROW(h.kill());
}

TEST_CASE("another thread kills a worker that a caller waits for", "[death]") {
  Gate entered, leave;
  Handler<Mortal> h{std::in_place, &entered, &leave};
  auto t = h.call(&Mortal::wait_and_die, SIGTERM);
  std::thread killer([&] {
    entered.pass();
    h.kill();
  });
  CHECK_THROWS_AS(t.get(), WorkerDied);
  killer.join();
}

TEST_CASE("a stopped worker is slow and not dead", "[death]") {
  Handler<Mortal> h;
  CHECK(h.call(&Mortal::count).get() == 1);
  const Watched worker(h.pid());
  worker.signal(SIGSTOP);
  auto t = h.call(&Mortal::count);
  const bool early = t.wait_for(30ms);  // the signal may come later than the answer
  CHECK(h.alive());
  worker.signal(SIGCONT);
  CHECK(t.wait_for(60s));
  CHECK(t.get() == 2);
  CAPTURE(early);
}

TEST_CASE("the destructor kills a worker that is stuck after close_timeout", "[death]") {
  Token<void> stuck;
  Token<int> queued;
  pid_t pid = 0;
  const auto before = std::chrono::steady_clock::now();
  {
    Handler<Mortal> h{{.close_timeout = 50ms}, std::in_place};
    pid = h.pid();
    stuck = h.call([](Mortal&) {
      for (volatile bool on = true; on;) {
      }
    });
    queued = h.call(&Mortal::count);
  }
  const auto took = std::chrono::steady_clock::now() - before;
  CHECK(took >= 50ms);
  CHECK(took < 20s);
  check_signal(death_of(stuck), pid, SIGKILL);
  CHECK_THROWS_AS(queued.get(), apalis::Error);
}

TEST_CASE("the destructor kills a worker whose object never finishes its own", "[death]") {
  struct Clinging {
    Gate* forever;
    explicit Clinging(Gate* g) : forever(g) {}
    ~Clinging() { forever->pass_unbounded(); }
    int value() { return 1; }
  };
  Gate forever;
  const auto before = std::chrono::steady_clock::now();
  {
    Handler<Clinging> h{{.close_timeout = 50ms}, std::in_place, &forever};
    CHECK(h.call(&Clinging::value).get() == 1);
  }
  CHECK(std::chrono::steady_clock::now() - before < 20s);
}

TEST_CASE("the destructor kills a stopped worker after close_timeout", "[death]") {
  const auto before = std::chrono::steady_clock::now();
  {
    Handler<Mortal> h{{.close_timeout = 50ms}, std::in_place};
    CHECK(h.call(&Mortal::count).get() == 1);
    Watched(h.pid()).signal(SIGSTOP);
  }
  CHECK(std::chrono::steady_clock::now() - before < 20s);
}

TEST_CASE("the death of a nested worker arrives as WorkerDied", "[death]") {
  struct Middle {
    Handler<Mortal> inner;
    int inner_pid() { return static_cast<int>(inner.pid()); }
    int doom() { return inner.call(&Mortal::die_by, SIGKILL).get(); }
    int one() { return 1; }
  };
  Handler<Middle> h;
  const int inner = h.call(&Middle::inner_pid).get();
  const WorkerDied e = death_of(h.call(&Middle::doom));
  CHECK(e.pid() == inner);
  CHECK(e.signal() == SIGKILL);
  CHECK(h.alive());
  CHECK(h.call(&Middle::one).get() == 1);
  CHECK_THROWS_AS(h.call(&Middle::doom).get(), WorkerDied);
}
