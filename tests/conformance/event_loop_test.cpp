// SPDX-License-Identifier: BSL-1.0
// Calls in a program with an event loop of its own: poll, notify_fd.
//
// notify_fd() keeps descriptors for the life of its process: tests that use it run in a process of
// their own, in which only REQUIRE tells.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/event_loop.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::Coroutine;
using apalis::Handler;
using apalis::notify_fd;
using apalis::Token;
using apalis::WorkerDied;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

constexpr int patience_ms = 40'000 * APALIS_TEST_SLOWNESS;

struct Subject {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  int total = 0;

  int add(int x) { return total += x; }
  int wait() {
    entered->open();
    leave->pass();
    return ++total;
  }
};

bool readable(int fd, int within_ms) {
  pollfd ready{fd, POLLIN, 0};
  int found = 0;
  do found = ::poll(&ready, 1, within_ms);
  while (found < 0 && errno == EINTR);
  return found == 1;
}

/// What an event loop does, until `done`. False if nothing came for too long.
template <class Done>
bool loop_until(int fd, Done done) {
  while (!done()) {
    if (!readable(fd, patience_ms)) return false;
    apalis::poll();
  }
  return true;
}

/// Calls poll() until there is nothing to do. False if there always is.
bool comes_to_rest(int fd) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  while (readable(fd, 0)) {
    apalis::poll();
    if (std::chrono::steady_clock::now() >= end) return false;
  }
  return true;
}

/// A worker, by a descriptor.
class Watched {
 public:
  explicit Watched(pid_t pid)
      : pid_(pid), descriptor_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Watched() { ::close(descriptor_); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  /// Returns when it has ended.
  void kill() const {
    ::kill(pid_, SIGKILL);
    REQUIRE(readable(descriptor_, patience_ms));
  }

 private:
  pid_t pid_;
  int descriptor_;
};

template <class Body>
void in_own_process(Body body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int status = 1;
    try {
      body();
      status = 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "in its own process: %s\n", e.what());
    } catch (...) {  // a REQUIRE, which has told
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace

TEST_CASE("poll() runs what is due and says how much that was", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  CHECK(apalis::poll() == 0);
  auto h = on<Subject>(backend);
  auto k = on<Subject>(backend);
  std::vector<int> seen;
  std::size_t at_once = 0;
  for (int i = 0; i < 10; ++i) {
    auto token = (i % 2 == 0 ? h : k).call(&Subject::add, 1);
    auto dropped = token.then([&](int x) { seen.push_back(x); });
  }
  at_once = seen.size();  // of a backend that has the results at once
  std::size_t ran = at_once;
  while (seen.size() < 10) ran += apalis::poll();
  CHECK(ran == 10);
  CHECK(apalis::poll() == 0);
}

TEST_CASE("poll() counts what a whole batch is continued by once", "[event_loop][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 6);
  int runs = 0;
  auto dropped = g.start_map(&Cell::tell).then([&](const std::vector<int>&) { ++runs; });
  auto counted = static_cast<std::size_t>(runs);  // at once, where the results are
  while (runs == 0) counted += apalis::poll();
  CHECK(counted == 1);
}

TEST_CASE("poll() waits for nothing", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Subject>(backend, &entered, &leave);
  bool ran = false;
  auto after = h.call(&Subject::wait).then([&](int) { ran = true; });
  entered.pass();
  CHECK(apalis::poll() == 0);
  CHECK_FALSE(ran);
  leave.open();
  while (!ran) apalis::poll();
  CHECK(after.ready());
}

TEST_CASE("poll() drives coroutines and batches", "[event_loop][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  const auto loop = [](apalis::GroupHandler<Cell>& group) -> Coroutine<int> {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      const std::vector<int> all = co_await group.start_map(&Cell::tell);
      sum += all[3] + co_await group[2].call(&Cell::tell);
    }
    co_return sum;
  };
  std::optional<int> sum;
  auto dropped = apalis::start(loop(g)).then([&](int x) { sum = x; });
  while (!sum) apalis::poll();
  CHECK(*sum == 500);
}

TEST_CASE("poll() may be called inside a continuation", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<int> seen;
  const auto note = [&](int x) { seen.push_back(x); };
  auto outer = h.call(&Subject::add, 1).then([&](int) {
    { auto inner = h.call(&Subject::add, 10).then(note); }
    while (seen.empty()) apalis::poll();
  });
  while (!outer.ready()) apalis::poll();
  CHECK(seen == std::vector{11});
}

TEST_CASE("notify_fd() becomes readable on a reply that something waits for", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  in_own_process([&] {
    const int fd = notify_fd();
    REQUIRE(fd >= 0);
    REQUIRE(notify_fd() == fd);
    REQUIRE(comes_to_rest(fd));
    auto h = on<Subject>(backend);
    for (int i = 1; i <= 100; ++i) {
      bool ran = false;
      auto dropped = h.call(&Subject::add, 1).then([&](int) { ran = true; });
      REQUIRE(loop_until(fd, [&] { return ran; }));
      REQUIRE(comes_to_rest(fd));
    }
  });
}

TEST_CASE("notify_fd() is not readable while there is nothing to do", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  in_own_process([&] {
    Gate entered, leave;
    auto h = on<Subject>(backend, &entered, &leave);
    const int fd = notify_fd();
    bool ran = false;
    auto dropped = h.call(&Subject::wait).then([&](int) { ran = true; });
    entered.pass();
    REQUIRE(comes_to_rest(fd));
    REQUIRE_FALSE(readable(fd, 20));  // nor does it become so by itself
    REQUIRE_FALSE(ran);
    leave.open();
    REQUIRE(loop_until(fd, [&] { return ran; }));
    REQUIRE(comes_to_rest(fd));
  });
}

TEST_CASE("notify_fd() tells of what was asked for before it was first called", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  in_own_process([&] {
    Gate entered, leave;
    auto h = on<Subject>(backend, &entered, &leave);
    auto k = on<Subject>(backend);
    int ran = 0;
    auto one = k.call(&Subject::add, 1).then([&](int) { ++ran; });
    auto two = h.call(&Subject::wait).then([&](int) { ++ran; });
    entered.pass();
    const int fd = notify_fd();
    REQUIRE(loop_until(fd, [&] { return ran == 1; }));
    leave.open();
    REQUIRE(loop_until(fd, [&] { return ran == 2; }));
  });
}

TEST_CASE("notify_fd() works inside other epoll instances", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  in_own_process([&] {
    const int inner = ::epoll_create1(EPOLL_CLOEXEC);
    const int outer = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    REQUIRE(::epoll_ctl(inner, EPOLL_CTL_ADD, notify_fd(), &wanted) == 0);
    REQUIRE(::epoll_ctl(outer, EPOLL_CTL_ADD, inner, &wanted) == 0);
    auto h = on<Subject>(backend);
    int sum = 0;
    for (int i = 0; i < 10; ++i) {
      auto dropped = h.call(&Subject::add, 1).then([&](int x) { sum += x; });
    }
    while (sum < 55) {
      epoll_event event{};
      REQUIRE(::epoll_wait(outer, &event, 1, patience_ms) == 1);
      apalis::poll();
    }
  });
}

TEST_CASE("notify_fd() serves several handlers and groups", "[event_loop][group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  in_own_process([&] {
    const int fd = notify_fd();
    std::vector<Handler<Subject>> handlers;
    for (int i = 0; i < 4; ++i) handlers.push_back(on<Subject>(backend));
    auto g = cells(backend, 2, 4);
    const auto loop = [](Handler<Subject>& h, apalis::GroupHandler<Cell>& group,
                         int& done) -> Coroutine<> {
      for (int i = 0; i < 50; ++i) {
        co_await h.call(&Subject::add, 1);
        co_await group.start_map(&Cell::add, 1);
      }
      ++done;
    };
    int done = 0;
    for (auto& h : handlers) {
      auto dropped = apalis::start(loop(h, g, done));
    }
    REQUIRE(loop_until(fd, [&] { return done == 4; }));
    REQUIRE(g[0].get(&Cell::total).get() == 200);
    handlers.clear();
    REQUIRE(comes_to_rest(fd));
  });
}

TEST_CASE("a handler that has closed leaves notify_fd() at rest", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  in_own_process([&] {
    const int fd = notify_fd();
    auto h = on<Subject>(backend);
    bool ran = false;
    auto kept = h.call(&Subject::add, 1).then([&](int) { ran = true; });
    REQUIRE(loop_until(fd, [&] { return ran; }));
    REQUIRE(comes_to_rest(fd));
    h.close();
    REQUIRE(comes_to_rest(fd));
    REQUIRE_FALSE(readable(fd, 20));
    REQUIRE(kept.ready());
  });
}

TEST_CASE("an event loop may run on a thread that makes no calls", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  in_own_process([&] {
    const int fd = notify_fd();
    auto h = on<Subject>(backend);
    std::atomic<int> ran{0};
    std::atomic<bool> over{false};
    constexpr int calls = 500;
    const int end = ::eventfd(0, EFD_CLOEXEC);
    std::jthread loop{[&] {
      while (!over.load()) {
        std::array<pollfd, 2> ready{{{fd, POLLIN, 0}, {end, POLLIN, 0}}};
        ::poll(ready.data(), ready.size(), -1);
        apalis::poll();
      }
    }};
    // One that finds its outcome there runs here.
    for (int i = 0; i < calls; ++i) {
      auto dropped = h.call(&Subject::add, 1).then([&](int) { ran.fetch_add(1); });
    }
    const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    while (ran.load() < calls && std::chrono::steady_clock::now() < limit)
      std::this_thread::yield();
    over.store(true);
    REQUIRE(::eventfd_write(end, 1) == 0);
    loop.join();
    REQUIRE(ran.load() == calls);
  });
}

// --- What only processes can -----------------------------------------------------------------------

TEST_CASE("notify_fd() becomes readable on a worker's death", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!apalis::capabilities(backend).kills) return;
  in_own_process([&] {
    Gate entered, leave;
    const int fd = notify_fd();
    auto h = on<Subject>(backend, &entered, &leave);
    auto call = h.call(&Subject::wait);
    auto after = call.then([](int x) { return x; });
    entered.pass();
    REQUIRE(comes_to_rest(fd));
    ::kill(h.pid(), SIGKILL);
    REQUIRE(readable(fd, patience_ms));
    REQUIRE(loop_until(fd, [&] { return after.ready(); }));
    REQUIRE_THROWS_AS(after.get(), WorkerDied);
    // It has been told.
    REQUIRE(comes_to_rest(fd));
    REQUIRE_FALSE(readable(fd, 20));
  });
}

TEST_CASE("notify_fd() becomes readable when a call has run too long", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!apalis::capabilities(backend).kills) return;
  in_own_process([&] {
    Gate entered, leave;
    const int fd = notify_fd();
    auto h = on<Subject>(backend, &entered, &leave);
    bool timed_out = false;
    auto after = h.call({.timeout = 30ms}, &Subject::wait);
    auto watches = [](Token<int> token, bool& flag) -> Coroutine<> {
      try {
        co_await std::move(token);
      } catch (const apalis::TimedOut&) {
        flag = true;
      }
    };
    auto dropped = apalis::start(watches(std::move(after), timed_out));
    REQUIRE(loop_until(fd, [&] { return timed_out; }));
    REQUIRE(comes_to_rest(fd));
  });
}

TEST_CASE("notify_fd() becomes readable when a worker is to be replaced", "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!apalis::capabilities(backend).kills) return;
  in_own_process([&] {
    Gate entered, leave;
    const int fd = notify_fd();
    auto options = options_for(backend);
    options.restart = {.max = 1, .backoff = 50ms};
    Handler<Subject> h{options, std::in_place, &entered, &leave};
    bool died = false;
    int sum = 0;
    auto watches = [](Token<int> token, bool& flag) -> Coroutine<> {
      try {
        co_await std::move(token);
      } catch (const WorkerDied&) {
        flag = true;
      }
    };
    auto first = apalis::start(watches(h.call(&Subject::wait), died));
    auto next = h.call(&Subject::add, 5).then([&](int x) { sum = x; });
    entered.pass();
    REQUIRE(comes_to_rest(fd));
    ::kill(h.pid(), SIGKILL);
    REQUIRE(loop_until(fd, [&] { return died; }));
    REQUIRE(loop_until(fd, [&] { return sum == 5; }));
    REQUIRE(comes_to_rest(fd));
    REQUIRE(h.restarts() == 1);
  });
}

TEST_CASE("notify_fd() becomes readable when a call that was never sent is cancelled",
          "[event_loop]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!apalis::capabilities(backend).kills) return;
  in_own_process([&] {
    const int fd = notify_fd();
    auto options = options_for(backend);
    options.restart = {.max = 2, .backoff = 1h, .max_backoff = 2h};
    Handler<Subject> h{options, std::in_place};
    // The first is replaced at once, the second in an hour.
    for (int deaths = 0; deaths < 2; ++deaths) {
      REQUIRE(h.call(&Subject::add, 1).get() == 1);
      const Watched worker(h.pid());
      worker.kill();
      REQUIRE(h.alive());
    }
    auto call = h.call(&Subject::add, 1);
    bool cancelled = false;
    auto watches = [](Token<int>& token, bool& flag) -> Coroutine<> {
      try {
        co_await token;
      } catch (const apalis::Cancelled&) {
        flag = true;
      }
    };
    auto dropped = apalis::start(watches(call, cancelled));
    REQUIRE(comes_to_rest(fd));
    REQUIRE(call.cancel());
    REQUIRE(loop_until(fd, [&] { return cancelled; }));
    REQUIRE_THROWS_AS(call.get(), apalis::Cancelled);
    h.kill();
  });
}
