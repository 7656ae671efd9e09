// SPDX-License-Identifier: BSL-1.0
// How handlers end, move, and behave in a process that did not make them.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

using apalis::Handler;
using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
};

// A pipe that objects in other processes write their doings into.
class Journal {
 public:
  Journal() { REQUIRE(::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Journal() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  void note(char c) const {
    if (::write(ends_[1], &c, 1) != 1) ::abort();
  }
  std::string read() const {
    std::string text(4096, '\0');
    const auto n = ::read(ends_[0], text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

 private:
  int ends_[2];
};

struct Diarist {
  const Journal* journal;
  explicit Diarist(const Journal* j) : journal(j) { journal->note('('); }
  Diarist(const Diarist&) = delete;
  Diarist& operator=(const Diarist&) = delete;
  ~Diarist() { journal->note(')'); }
  void note(char c) const { journal->note(c); }
};

// Runs `body` in a plain fork of this process; true if it returned true there.
template <class Body>
bool true_in_a_fork(Body body) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    int code = 1;
    try {
      code = body() ? 0 : 2;
    } catch (...) {
      code = 3;
    }
    ::_exit(code);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class F>
bool throws_error(F f) {
  try {
    f();
  } catch (const apalis::Error&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("close completes what was accepted and then destroys the object", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Journal journal;
  auto h = on<Diarist>(backend, &journal);
  for (int i = 0; i < 1000; ++i) h.post(&Diarist::note, 'p');
  auto t = h.call(&Diarist::note, 'c');
  h.close();
  CHECK(journal.read() == "(" + std::string(1000, 'p') + "c)");
  CHECK(t.ready());
  t.get();
}

TEST_CASE("a destructor completes what was accepted and then destroys the object", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Journal journal;
  {
    auto h = on<Diarist>(backend, &journal);
    for (int i = 0; i < 1000; ++i) h.post(&Diarist::note, 'p');
  }
  CHECK(journal.read() == "(" + std::string(1000, 'p') + ")");
}

TEST_CASE("an object without calls is made and destroyed once", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Journal journal;
  { auto h = on<Diarist>(backend, &journal); }
  CHECK(journal.read() == "()");
}

TEST_CASE("close ends the worker and later calls are refused at once", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.alive());
  auto before = h.call(&Counter::add, 1);
  h.close();
  CHECK_FALSE(h.alive());
  CHECK(before.get() == 1);
  CHECK_THROWS_AS((void)h.call(&Counter::add, 1), apalis::Error);
  CHECK_THROWS_AS((void)h.call<&Counter::add>(1), apalis::Error);
  CHECK_THROWS_AS(h.post(&Counter::add, 1), apalis::Error);
  CHECK_THROWS_AS((void)h.get(&Counter::total), apalis::Error);
  CHECK_THROWS_AS(h.set(&Counter::total, 1), apalis::Error);
  CHECK_NOTHROW(h.close());
}

TEST_CASE("close waits for a call that takes its time", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  apalis::Options options = options_for(backend);
  options.close_timeout = 1ms;  // the destructor's bound, not close()'s
  Handler<Waiter> h{options, std::in_place, &entered, &leave};
  auto t = h.call(&Waiter::wait);
  entered.pass();
  const pid_t helper = ::fork();
  REQUIRE(helper >= 0);
  if (helper == 0) {
    leave.pass_within(50ms);  // nobody opens it: a delay that needs no sleep
    leave.open();
    ::_exit(0);
  }
  h.close();
  CHECK(t.get() == 1);
  int status = 0;
  CHECK(::waitpid(helper, &status, 0) == helper);
}

TEST_CASE("a moved handler takes its worker along", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto a = on<Counter>(backend, 10);
  auto t = a.call(&Counter::add, 1);
  const pid_t pid = a.pid();
  Handler<Counter> b = std::move(a);
  CHECK(b.pid() == pid);
  CHECK(b.call(&Counter::add, 1).get() == 12);
  CHECK(t.get() == 11);
}

TEST_CASE("a moved-from handler throws and destructs as nothing", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto a = on<Counter>(backend, 10);
  {
    Handler<Counter> b = std::move(a);
    CHECK(b.valid());
    CHECK_FALSE(a.valid());  // NOLINT(bugprone-use-after-move)
    CHECK_THROWS_AS((void)a.call(&Counter::add, 1), apalis::Error);
    CHECK_THROWS_AS((void)a.call<&Counter::add>(1), apalis::Error);
    CHECK_THROWS_AS(a.post(&Counter::add, 1), apalis::Error);
    CHECK_THROWS_AS((void)a.get(&Counter::total), apalis::Error);
    CHECK_THROWS_AS(a.set(&Counter::total, 1), apalis::Error);
    CHECK_THROWS_AS((void)a.copy([](Counter&) {}), apalis::Error);
    CHECK_THROWS_AS(a.drain(), apalis::Error);
    CHECK(b.call(&Counter::add, 1).get() == 11);
  }
}

TEST_CASE("assigning to a handler ends its former worker", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Journal journal;
  auto h = on<Diarist>(backend, &journal);
  h.post(&Diarist::note, 'a');
  h = on<Diarist>(backend, &journal);
  h.post(&Diarist::note, 'b');
  h.close();
  const std::string text = journal.read();
  CHECK(text.size() == 6);
  CHECK(text.find('a') < text.find(')'));
  CHECK(text.back() == ')');
}

TEST_CASE("handlers live in containers", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Handler<Counter>> handlers;
  for (int i = 0; i < 10; ++i) handlers.push_back(on<Counter>(backend, i));
  handlers.erase(handlers.begin());
  std::swap(handlers[0], handlers[8]);
  CHECK(handlers[0].call(&Counter::add, 0).get() == 9);
  CHECK(handlers[8].call(&Counter::add, 0).get() == 1);
}

TEST_CASE("a handler refuses to work in a process that did not make it", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call(&Counter::add, 1).get() == 1);
  auto pending = h.call(&Counter::add, 1);
  CHECK(true_in_a_fork([&] {
    return throws_error([&] { (void)h.call(&Counter::add, 1); }) &&
           throws_error([&] { (void)h.call<&Counter::add>(1); }) &&
           throws_error([&] { h.post(&Counter::add, 1); }) &&
           throws_error([&] { (void)h.get(&Counter::total); }) &&
           throws_error([&] { h.set(&Counter::total, 1); }) && throws_error([&] { h.drain(); }) &&
           throws_error([&] { h.close(); });
  }));
  CHECK(pending.get() == 2);
  CHECK(h.call(&Counter::add, 1).get() == 3);
}

TEST_CASE("a foreign handler and its tokens destruct as nothing", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Journal journal;
  auto h = std::make_unique<Handler<Diarist>>(options_for(backend), std::in_place, &journal);
  auto token = std::make_unique<Token<void>>(h->call(&Diarist::note, '1'));
  CHECK(true_in_a_fork([&] {
    token.reset();
    Handler<Diarist> moved = std::move(*h);
    h.reset();
    return true;
  }));
  h->call(&Diarist::note, '2').get();
  token->get();
  h.reset();
  CHECK(journal.read() == "(12)");
}

TEST_CASE("a plain fork of a process with handlers may make its own", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call(&Counter::add, 1).get() == 1);
  CHECK(true_in_a_fork([&] {
    auto mine = on<Counter>(backend, 100);
    const bool answered = mine.call(&Counter::add, 1).get() == 101;
    mine.close();
    return answered;
  }));
  CHECK(h.call(&Counter::add, 1).get() == 2);
  auto later = on<Counter>(backend, 7);
  CHECK(later.call(&Counter::add, 1).get() == 8);
}

TEST_CASE("unwinding cancels the calls that wait and does not wait for them", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!apalis::capabilities(backend).kills) return;
  Gate entered, leave;
  Token<int> running;
  std::vector<Token<int>> queued;
  try {
    apalis::Options options = options_for(backend);
    options.close_timeout = 50ms;  // the running call never ends by itself
    Handler<Waiter> h{options, std::in_place, &entered, &leave};
    running = h.call(&Waiter::wait);
    entered.pass();
    for (int i = 0; i < 100; ++i) queued.push_back(h.call(&Waiter::count));
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error& e) {
    CHECK(std::string(e.what()) == "unwinding");
  }
  for (auto& t : queued) CHECK_THROWS_AS(t.get(), apalis::Cancelled);
  CHECK_THROWS_AS(running.get(), apalis::WorkerDied);
}

TEST_CASE("unwinding keeps the results that are there", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Token<int> done;
  try {
    auto h = on<Counter>(backend);
    done = h.call(&Counter::add, 4);
    done.wait();
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  CHECK(done.get() == 4);
}

TEST_CASE("a handler that ends normally inside a catch block completes its queue", "[lifetime]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Token<int> t;
  try {
    throw std::runtime_error("handled");
  } catch (const std::runtime_error&) {
    auto h = on<Counter>(backend);
    for (int i = 0; i < 100; ++i) t = h.call(&Counter::add, 1);
  }
  CHECK(t.get() == 100);
}
