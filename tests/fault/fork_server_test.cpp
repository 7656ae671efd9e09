// SPDX-License-Identifier: BSL-1.0
// Workers and threads: what is said of a fork in a process with threads, and the server that spares
// it. Each case in a host of its own, which has one thread to begin with.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::ForkInThreads;
using apalis::ForkServer;
using apalis::Handler;
using apalis::WorkerDied;
using namespace std::chrono_literals;

namespace {

struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
  int die_now() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  int generation() const { return static_cast<int>(apalis::this_worker().generation()); }
};

struct Unsendable {
  std::unique_ptr<int> value = std::make_unique<int>(7);
  int tell() const { return *value; }
};

int prepared = 0;
void prepare() {
  prepared = 42;
}

struct Prepared {
  int seen = prepared;
  int tell() const { return seen; }
};

/// A second thread, for its scope.
class OtherThread {
 public:
  OtherThread()
      : thread_([this] {
          tid_ = static_cast<pid_t>(::syscall(SYS_gettid));
          entered_.release();
          leave_.acquire();
        }) {
    entered_.acquire();
  }
  ~OtherThread() {
    leave_.release();
    thread_.join();
    // join() returns a little before the kernel has forgotten the thread.
    while (::access(("/proc/self/task/" + std::to_string(tid_)).c_str(), F_OK) == 0)
      std::this_thread::yield();
  }
  OtherThread(const OtherThread&) = delete;
  OtherThread& operator=(const OtherThread&) = delete;

 private:
  std::binary_semaphore entered_{0};
  std::binary_semaphore leave_{0};
  pid_t tid_ = 0;
  std::thread thread_;
};

std::vector<std::string> warnings;
void hear_warnings() {
  apalis::set_log_hook([](apalis::LogLevel level, std::string_view text) {
    if (level == apalis::LogLevel::warning) warnings.emplace_back(text);
  });
}

template <class Body>
void in_host(Body body) {
  Host host([&](Host::Side&) {
    body();
    ForkServer::stop();
    expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "a child was left");
    return 0;
  });
  CHECK(host.status() == 0);
}

/// The text of the apalis::Error that `make` throws; ends the host if it throws none.
template <class Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const apalis::Error& e) {
    return e.what();
  }
  throw std::runtime_error("it was not refused");
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

void expect_died(apalis::Token<int> token) {
  expect(token.wait_for(60s), "a token hangs");
  try {
    token.get();
  } catch (const WorkerDied&) {
    return;
  }
  throw std::runtime_error("a result of the dead");
}

}  // namespace

TEST_CASE("a handler in a process with threads warns once", "[fork_server]") {
  in_host([] {
    hear_warnings();
    {
      Handler<Counter> alone;
      expect(warnings.empty(), "warned without threads");
    }
    const OtherThread other;
    for (int i = 0; i < 3; ++i) {
      Handler<Counter> h{{.restart = {.max = 1}}, std::in_place};
      expect(h.call(&Counter::add, 2).get() == 2, "a wrong result");
    }
    expect(warnings.size() == 1, "not warned once");
    expect(contains(warnings[0], "ForkServer::start()"), "no advice");
  });
}

TEST_CASE("fork_in_threads refuses, or says nothing", "[fork_server]") {
  in_host([] {
    hear_warnings();
    {
      Handler<Counter> alone{{.fork_in_threads = ForkInThreads::refuse}, std::in_place};
      expect(alone.call(&Counter::add, 1).get() == 1, "refused without threads");
    }
    const OtherThread other;
    const auto text = refusal([] {
      const Handler<Counter> h{{.fork_in_threads = ForkInThreads::refuse}, std::in_place};
    });
    expect(contains(text, "threads"), "the refusal names no reason");
    Handler<Counter> allowed{{.fork_in_threads = ForkInThreads::allow}, std::in_place};
    expect(allowed.call(&Counter::add, 1).get() == 1, "a wrong result");
    expect(warnings.empty(), "warned all the same");
  });
}

TEST_CASE("ForkServer::start() in a process with threads is an Error", "[fork_server]") {
  in_host([] {
    const OtherThread other;
    const auto text = refusal([] { ForkServer::start(); });
    expect(contains(text, "too late"), "the refusal names no reason");
    expect(!ForkServer::is_running() && ForkServer::pid() == 0, "there is a server");
  });
}

TEST_CASE("workers of the server, in a process with threads", "[fork_server]") {
  in_host([] {
    hear_warnings();
    ForkServer::start();
    ForkServer::start();
    expect(ForkServer::is_running() && ForkServer::pid() > 0, "no server");
    const OtherThread other;
    Handler<Counter> made{{.fork_in_threads = ForkInThreads::refuse}, std::in_place};
    expect(made.call(&Counter::add, 1).get() == 1, "a wrong result");
    expect(made.call(&Counter::generation).get() == 0, "a wrong generation");
    expect(warnings.empty(), "warned, though nothing was forked here");
  });
}

TEST_CASE("what can't be sent to the server is forked here, or refused", "[fork_server]") {
  in_host([] {
    ForkServer::start();
    {
      Handler<Unsendable> h{Unsendable{}};
      expect(h.call(&Unsendable::tell).get() == 7, "a wrong result");
    }
    const OtherThread other;
    const auto text = refusal([] { const Handler<Unsendable> h{Unsendable{}}; });
    expect(contains(text, "serialisation"), "the refusal names no reason");
    // Made in place of nothing, it needs not be sent.
    Handler<Unsendable> h;
    expect(h.call(&Unsendable::tell).get() == 7, "a wrong result");
  });
}

TEST_CASE("on_worker_start in the server's workers is a plain function", "[fork_server]") {
  in_host([] {
    ForkServer::start();
    int answer = 43;  // no constant, so that it is captured
    const auto closure = [answer] { prepared = answer; };
    {
      Handler<Prepared> forked{{.on_worker_start = closure}, std::in_place};
      expect(forked.call(&Prepared::tell).get() == 43, "the closure did not run");
    }
    const OtherThread other;
    Handler<Prepared> served{{.on_worker_start = &prepare}, std::in_place};
    expect(served.call(&Prepared::tell).get() == 42, "the function did not run");
    expect(prepared == 0, "it ran here");
    const auto text = refusal([&] {
      const Handler<Prepared> h{{.on_worker_start = closure}, std::in_place};
    });
    expect(contains(text, "on_worker_start"), "the refusal names no reason");
  });
}

TEST_CASE("a server that was killed is told at the next handler", "[fork_server]") {
  in_host([] {
    ForkServer::start();
    Handler<Counter> before{{.restart = {.max = 3}}, std::in_place};
    expect(before.call(&Counter::add, 1).get() == 1, "a wrong result");
    {
      const Watched server(ForkServer::pid());
      server.signal(SIGKILL);
      expect(server.ends(), "the server lives");
    }
    for (int i = 0; i < 2; ++i) {
      const auto text = refusal([] { const Handler<Counter> h; });
      expect(contains(text, "fork server"), "the refusal does not name the server");
    }
    expect(before.call(&Counter::add, 1).get() == 2, "its workers must live on");
    expect_died(before.call(&Counter::die_now));
    expect_died(before.call(&Counter::generation));
    ForkServer::stop();
    ForkServer::start();
    Handler<Counter> after;
    expect(after.call(&Counter::add, 1).get() == 1, "a new server must do");
  });
}

TEST_CASE("the server's workers are replaced by it, whatever threads there are", "[fork_server]") {
  in_host([] {
    ForkServer::start();
    const OtherThread other;
    Handler<Counter> h{
        {.restart = {.max = 3, .backoff = 1ms}, .fork_in_threads = ForkInThreads::refuse},
        apalis::carry,
        Counter{.total = 100}};
    for (int generation = 0; generation < 3; ++generation) {
      expect(h.call(&Counter::add, 1).get() == 101, "not the object as it was");
      expect(h.call(&Counter::generation).get() == generation, "a wrong generation");
      expect_died(h.call(&Counter::die_now));
    }
    expect(h.restarts() == 3, "not counted");
  });
}

TEST_CASE("stop() ends the server: its workers live on, and are not replaced", "[fork_server]") {
  in_host([] {
    ForkServer::start();
    const Watched server(ForkServer::pid());
    Handler<Counter> h{{.restart = {.max = 3}}, std::in_place};
    expect(h.call(&Counter::add, 1).get() == 1, "a wrong result");
    ForkServer::stop();
    ForkServer::stop();
    expect(server.ends(), "the server lives");
    expect(!ForkServer::is_running() && ForkServer::pid() == 0, "there is a server");
    expect(h.call(&Counter::add, 1).get() == 2, "the worker must live on");
    expect_died(h.call(&Counter::die_now));
    expect_died(h.call(&Counter::generation));
    expect(h.restarts() == 0, "it was replaced");
    Handler<Counter> forked;
    expect(forked.call(&Counter::add, 1).get() == 1, "a handler needs no server");
  });
}
