// SPDX-License-Identifier: BSL-1.0
// Threads that are lent to workers: what a launch may get wrong, and what a thread is like when it
// comes back.
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"
#include "support/thread_pool.hpp"

using apalis::Backend;
using apalis::Error;
using apalis::Handler;
using apalis::TimedOut;
using apalis::test::ThreadPool;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

using Body = std::function<void()>;

/// What the one registered launch does, for the case that runs.
std::function<void(Body)> launch_now;
constexpr auto limit = 200ms;  // for those that never come: others are in time by far

Backend lent() {
  static const auto backend =
      apalis::register_backend("lent", {.base = Backend::threads,
                                        .launch = [](Body body) { launch_now(std::move(body)); },
                                        .launch_timeout = limit});
  return backend;
}
/// Where nothing is too late, however slow the machine.
Backend lent_patiently() {
  static const auto backend = apalis::register_backend(
      "lent patiently", {.base = Backend::threads,
                         .launch = [](Body body) { launch_now(std::move(body)); },
                         .launch_timeout = std::chrono::milliseconds::max()});
  return backend;
}

/// Sets launch_now for its scope.
struct Launching {
  explicit Launching(std::function<void(Body)> launch) { launch_now = std::move(launch); }
  Launching(const Launching&) = delete;
  Launching& operator=(const Launching&) = delete;
  ~Launching() { launch_now = nullptr; }
};

std::atomic<int> alive = 0;
struct Counted {
  Counted() { ++alive; }
  Counted(const Counted& /*other*/) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
  int answer() const { return 42; }
};

apalis::Options on_lent(Backend backend = lent()) {
  apalis::Options options;
  options.name = "tenant";
  options.backend = backend;
  return options;
}

/// What the constructor says.
template <class E = Error>
std::string refusal(Backend backend = lent()) {
  try {
    const Handler<Counted> h{on_lent(backend), std::in_place};
  } catch (const E& error) {
    return error.what();
  }
  return "none";
}

void check_works(const std::function<void(Body)>& launch) {
  const Launching launching{launch};
  Handler<Counted> h{on_lent(lent_patiently()), std::in_place};
  CHECK(h.call(&Counted::answer).get() == 42);
}

}  // namespace

TEST_CASE("what launch throws, the constructor throws", "[launch]") {
  ThreadPool pool{1};
  Body kept;
  const Launching launching{[&](Body body) {
    kept = std::move(body);
    throw std::domain_error("no threads today");
  }};
  CHECK(refusal<std::domain_error>() == "no threads today");
  CHECK(alive == 0);
  kept();  // too late: there is nothing to do, and no reason to end this thread
  check_works([&](Body body) { pool.submit(std::move(body)); });
}

TEST_CASE("a launch that throws though a thread is on its way", "[launch]") {
  ThreadPool pool{1};
  const Launching launching{[&](Body body) {
    std::binary_semaphore entered{0};
    pool.submit([&entered, body = std::move(body)] {
      entered.release();
      body();
    });
    entered.acquire();
    throw std::domain_error("changed its mind");
  }};
  for (int i = 0; i < 50; ++i) {
    CHECK(refusal<std::domain_error>(lent_patiently()) == "changed its mind");
    CHECK(pool.ask([] { return apalis::this_worker().exists(); }) == false);
  }
  CHECK(alive == 0);
}

TEST_CASE("a body that is dropped is an error at once", "[launch]") {
  {
    const Launching launching{[](const Body& /*body*/) {}};
    CHECK_THAT(refusal(lent_patiently()), ContainsSubstring("dropped the body of worker 'tenant'"));
  }
  ThreadPool pool{1};
  const Launching launching{
      [&](Body body) { pool.submit([body = std::move(body)]() mutable { body = nullptr; }); }};
  CHECK_THAT(refusal(lent_patiently()), ContainsSubstring("dropped the body"));
  CHECK(alive == 0);
}

TEST_CASE("a body that is called by launch's own thread is an error", "[launch]") {
  {
    const Launching launching{[](const Body& body) { body(); }};
    CHECK_THAT(refusal(lent_patiently()), ContainsSubstring("hand it to another thread"));
  }
  const Launching launching{[](const Body& body) {
    try {
      body();
    } catch (const Error&) {  // hidden
    }
  }};
  CHECK_THAT(refusal(lent_patiently()), ContainsSubstring("hand it to another thread"));
  CHECK(alive == 0);
}

TEST_CASE("a launch that waits for the body is told so", "[launch]") {
  const Launching launching{
      [](Body body) { (void)std::async(std::launch::async, std::move(body)); }};
  CHECK_THAT(refusal(), ContainsSubstring("std::async"));
  CHECK(alive == 0);
}

TEST_CASE("a body that no thread has time for", "[launch]") {
  ThreadPool pool{1};
  const Launching launching{[&](Body body) { pool.submit(std::move(body)); }};
  {
    Handler<Counted> first{on_lent(lent_patiently()), std::in_place};
    CHECK_THAT(refusal<TimedOut>(), ContainsSubstring("a free thread for each worker"));
    CHECK(first.call(&Counted::answer).get() == 42);
  }
  // The thread is free again, comes too late for the second, and serves the third.
  Handler<Counted> third{on_lent(lent_patiently()), std::in_place};
  CHECK(third.call(&Counted::answer).get() == 42);
  CHECK(alive == 1);
}

TEST_CASE("a group that gets too few threads leaves none of its workers", "[launch]") {
  ThreadPool pool{2};
  const Launching launching{[&](Body body) { pool.submit(std::move(body)); }};
  const auto make = [] {
    const apalis::GroupHandler<Counted> g{{.workers = 3, .backend = lent()}, std::in_place, 3};
  };
  CHECK_THROWS_AS(make(), TimedOut);
  CHECK(alive == 0);
  pool.drop_waiting();
  apalis::GroupHandler<Counted> g{{.workers = 2, .backend = lent_patiently()}, std::in_place, 3};
  CHECK(g.map(&Counted::answer) == std::vector<int>(3, 42));
}

TEST_CASE("an engine that gets no thread fails its map and works later", "[launch]") {
  std::optional<ThreadPool> pool;
  const Launching launching{[&](Body body) {
    if (pool) pool->submit(std::move(body));
  }};
  {
    const apalis::Engine engine{lent_patiently(), {.max_workers = 2}};
    const auto twice = [](int x) { return 2 * x; };
    const std::vector<int> items{1, 2, 3};
    CHECK_THROWS_WITH(engine.map(twice, items), ContainsSubstring("dropped the body"));
    pool.emplace(2);
    CHECK(engine.map(twice, items) == std::vector<int>{2, 4, 6});
  }
}

TEST_CASE("a body that is called twice says so to the second caller", "[launch]") {
  std::mutex mutex;
  std::vector<std::string> said;
  {
    ThreadPool pool{2};
    const Launching launching{[&](const Body& body) {
      for (int i = 0; i < 2; ++i)
        pool.submit([&, body] {
          try {
            body();
          } catch (const Error& error) {
            const std::lock_guard lock{mutex};
            said.emplace_back(error.what());
          }
        });
    }};
    Handler<Counted> h{on_lent(lent_patiently()), std::in_place};
    CHECK(h.call(&Counted::answer).get() == 42);
    CHECK(pool.ask([] { return true; }));  // by the thread that came second
  }
  REQUIRE(said.size() == 1);
  CHECK_THAT(said.front(), ContainsSubstring("a second time"));
}

TEST_CASE("a thread comes back as it was lent", "[launch]") {
  ThreadPool pool{1};
  struct Look {
    bool is_worker;
    std::string name;
    cpu_set_t cores;
    sigset_t blocked;
  };
  const auto look = [] {
    Look now{};
    now.is_worker = apalis::this_worker().exists();
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    now.name = name.data();
    ::sched_getaffinity(0, sizeof now.cores, &now.cores);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now.blocked);
    return now;
  };
  const auto before = pool.ask(look);
  const Launching launching{[&](Body body) { pool.submit(std::move(body)); }};
  auto options = on_lent(lent_patiently());
  int core = 0;
  while (CPU_ISSET(core, &before.cores) == 0) ++core;
  options.cpu = core;
  for (int round = 0; round < 3; ++round) {
    Handler<Counted> h{options, std::in_place};
    const auto cores_of_worker = [](const Counted&) {
      cpu_set_t cores;
      ::sched_getaffinity(0, sizeof cores, &cores);
      return apalis::this_worker().exists() ? CPU_COUNT(&cores) : -1;
    };
    CHECK(h.call(cores_of_worker).get() == 1);
  }
  options.cpu = 100'000;
  CHECK_THROWS_AS((Handler<Counted>{options, std::in_place}), apalis::SystemError);
  const auto after = pool.ask(look);
  CHECK_FALSE(after.is_worker);
  CHECK(after.name == before.name);
  CHECK(CPU_EQUAL(&after.cores, &before.cores));
  for (int number = 1; number < 32; ++number)
    CHECK(::sigismember(&after.blocked, number) == ::sigismember(&before.blocked, number));
}

TEST_CASE("handlers are made on lent threads by many threads", "[launch]") {
  ThreadPool pool{4};
  const Launching launching{[&](Body body) { pool.submit(std::move(body)); }};
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
          Handler<Counted> h{on_lent(lent_patiently()), std::in_place};
          if (h.call(&Counted::answer).get() != 42) ++wrong;
        }
      });
  }
  CHECK(wrong == 0);
  CHECK(alive == 0);
}

TEST_CASE("what a fork inherits of bodies does nothing there", "[launch]") {
  Host host([](Host::Side& side) {
    std::optional<ThreadPool> pool{std::in_place, 1};
    Body copy;
    launch_now = [&](Body body) {
      copy = body;
      pool->submit(std::move(body));
    };
    Handler<Counted> h{on_lent(lent_patiently()), std::in_place};
    const pid_t pid = ::fork();
    if (pid == 0) {
      copy();
      copy = nullptr;
      launch_now = nullptr;
      ::_exit(7);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the fork did not end by itself");
    expect(h.call(&Counted::answer).get() == 42, "the parent's worker does not answer");
    side.tell(1);
    return 0;
  });
  CHECK(host.hear<int>() == 1);
  CHECK(host.status() == 0);
}

TEST_CASE("a worker forked from a lent thread has that thread's signal mask", "[launch]") {
  Host host([](Host::Side& side) {
    ThreadPool pool{1};
    const int failed = pool.ask([] {
      sigset_t one;
      ::sigemptyset(&one);
      ::sigaddset(&one, SIGUSR2);
      return ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
    });
    expect(failed == 0, "the mask can't be set");
    launch_now = [&](Body body) { pool.submit(std::move(body)); };
    Handler<Counted> h{on_lent(lent_patiently()), std::in_place};
    const auto forks = [](const Counted&) {
      Handler<Counted> deeper{{.fork_in_threads = apalis::ForkInThreads::allow}, std::in_place};
      return deeper
          .call([](const Counted&) {
            sigset_t now;
            ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
            return ::sigismember(&now, SIGUSR2) == 1 && ::sigismember(&now, SIGUSR1) == 0 &&
                   !apalis::this_worker().stop_token().stop_requested();
          })
          .get();
    };
    side.tell(h.call(forks).get() ? 1 : 0);
    return 0;
  });
  CHECK(host.hear<int>() == 1);
  CHECK(host.status() == 0);
}

// --- Processes -----------------------------------------------------------------------------------

namespace {

int prepared = 0;

struct Prepared {
  int seen = prepared;
  int tell() const { return seen; }
  void die() { ::kill(::getpid(), SIGKILL); }
};

}  // namespace

TEST_CASE("workers that replace others are prepared, too", "[custom]") {
  static const auto backend =
      apalis::register_backend("replaced", {.prepare_worker = [] { prepared = 5; }});
  apalis::Options options;
  options.backend = backend;
  options.restart.max = 3;
  Handler<Prepared> h{options, std::in_place};
  for (unsigned i = 0; i < 3; ++i) {
    CHECK(h.call(&Prepared::tell).get() == 5);
    CHECK_THROWS_AS(h.call(&Prepared::die).get(), apalis::WorkerDied);
  }
  CHECK(h.call(&Prepared::tell).get() == 5);
  CHECK(h.restarts() == 3);
  CHECK(prepared == 0);
}

TEST_CASE("the fork server prepares the workers of what was registered before it", "[custom]") {
  Host host([](Host::Side& side) {
    const int answer = std::stoi("17");  // no constant, so that it is captured
    const auto early =
        apalis::register_backend("early", {.prepare_worker = [answer] { prepared = answer; }});
    apalis::ForkServer::start();
    const auto late = apalis::register_backend("late", {.prepare_worker = [] { prepared = 18; }});
    const auto on = [](Backend backend) {
      apalis::Options options;
      options.backend = backend;
      return options;
    };
    {
      Handler<Prepared> forked{on(late), std::in_place};  // from here: there is one thread
      expect(forked.call(&Prepared::tell).get() == 18, "not prepared by this process");
    }
    std::binary_semaphore leave{0};
    const std::jthread other([&leave] { leave.acquire(); });
    Handler<Prepared> served{on(early), std::in_place};
    expect(served.call(&Prepared::tell).get() == 17, "not prepared by the server");
    std::string text;
    try {
      const Handler<Prepared> refused{on(late), std::in_place};
    } catch (const Error& error) {
      text = error.what();
    }
    expect(
        text.find("its backend was registered after the server was started") != std::string::npos,
        "the refusal names no reason");
    expect(prepared == 0, "prepared here");
    leave.release();
    side.tell(1);
    return 0;
  });
  CHECK(host.hear<int>() == 1);
  CHECK(host.status() == 0);
}
