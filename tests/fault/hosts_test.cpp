// SPDX-License-Identifier: BSL-1.0
// Programs that do as they please with signals, children, threads and descriptors.
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using namespace std::chrono_literals;

namespace {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  int die() {
    ::raise(SIGKILL);
    return 0;
  }
};

// A handler's whole life: calls, a clean end, and a death that is told.
void live_and_die() {
  {
    Handler<Subject> h;
    for (int i = 1; i <= 100; ++i) expect(h.call(&Subject::add, 1).get() == i, "wrong result");
    h.close();
  }
  { Handler<Subject> destroyed; }
  Handler<Subject> doomed;
  auto t = doomed.call(&Subject::die);
  expect(t.wait_for(60s), "the death goes unnoticed");
  try {
    t.get();
    expect(false, "a result from the dead");
  } catch (const apalis::WorkerDied& e) {
    expect(e.pid() == doomed.pid(), "the wrong pid");
    // Whoever reaps everything takes the status along: it is then unknown.
    expect(e.signal() == SIGKILL || (e.signal() == 0 && e.exit_status() == -1), "a wrong status");
  }
  expect(!doomed.alive(), "alive after death");
}

}  // namespace

TEST_CASE("a host that ignores SIGCHLD", "[hosts]") {
  Host host([](Host::Side&) {
    ::signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 5; ++i) live_and_die();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host that reaps every child in another thread", "[hosts]") {
  Host host([](Host::Side&) {
    std::atomic<bool> stop{false};
    std::thread reaper([&] {
      while (!stop) {
        int status = 0;
        if (::waitpid(-1, &status, 0) < 0) std::this_thread::yield();
      }
    });
    int status = 0;
    try {
      for (int i = 0; i < 5; ++i) live_and_die();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "host: %s\n", e.what());
      status = 1;
    }
    stop = true;
    reaper.join();
    return status;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host that reaps every child in its SIGCHLD handler", "[hosts]") {
  Host host([](Host::Side&) {
    struct sigaction action = {};
    action.sa_handler = [](int) {
      const int saved = errno;
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      errno = saved;
    };
    ::sigaction(SIGCHLD, &action, nullptr);
    for (int i = 0; i < 5; ++i) live_and_die();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host's own children keep their exit status", "[hosts]") {
  Host host([](Host::Side&) {
    const pid_t own = ::fork();
    expect(own >= 0, "fork");
    if (own == 0) ::_exit(42);
    live_and_die();
    int status = 0;
    expect(::waitpid(own, &status, 0) == own, "the host's child was reaped by another");
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 42, "its status is wrong");
    expect(::waitpid(-1, &status, 0) == -1 && errno == ECHILD, "a zombie was left");
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host that interrupts every system call", "[hosts]") {
  Host host([](Host::Side&) {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);  // without SA_RESTART
    const pthread_t main_thread = ::pthread_self();
    std::atomic<bool> stop{false};
    std::thread pest([&] {
      while (!stop) {
        ::pthread_kill(main_thread, SIGUSR1);
        std::this_thread::sleep_for(200us);
      }
    });
    int status = 0;
    try {
      for (int i = 0; i < 3; ++i) live_and_die();
      Handler<Subject> h;
      const auto size = [](Subject&, const std::string& s) { return s.size(); };
      for (int i = 0; i < 20; ++i)
        expect(h.call(size, std::string(1'000'000, 'x')).get() == 1'000'000, "wrong size");
    } catch (const std::exception& e) {
      std::fprintf(stderr, "host: %s\n", e.what());
      status = 1;
    }
    stop = true;
    pest.join();
    return status;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host that blocks every signal", "[hosts]") {
  Host host([](Host::Side&) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    live_and_die();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host without standard descriptors", "[hosts]") {
  Host host([](Host::Side&) {
    ::close(0);
    ::close(1);
    ::close(2);
    live_and_die();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a host whose threads allocate and print while handlers are made", "[hosts]") {
  Host host([](Host::Side&) {
    std::FILE* nowhere = std::fopen("/dev/null", "w");
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back([&] {
        while (!stop) {
          std::vector<std::string> v(50, std::string(100, 'a'));
          std::fprintf(nowhere, "%s\n", v.back().c_str());
          const std::unique_ptr<char, decltype(&std::free)> block(
              static_cast<char*>(std::malloc(100'000)), &std::free);
          block.get()[99'999] = 'x';
        }
      });
    int status = 0;
    try {
      for (int i = 0; i < 50; ++i) {
        Handler<Subject> h;
        const auto work = [](Subject&, int n) {
          std::vector<std::string> v(static_cast<std::size_t>(n), std::string(100, 'b'));
          std::printf("%s", v.front().substr(100).c_str());  // nothing, but by stdio's lock
          return v.size();
        };
        auto t = h.call(work, 100);
        expect(t.wait_for(60s), "a lock was held across the fork");
        expect(t.get() == 100, "wrong result");
      }
    } catch (const std::exception& e) {
      std::fprintf(stderr, "host: %s\n", e.what());
      status = 1;
    }
    stop = true;
    for (auto& t : threads) t.join();
    std::fclose(nowhere);
    return status;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("the library changes no signal disposition of its host", "[hosts]") {
  Host host([](Host::Side&) {
    struct sigaction before[32];
    for (int s = 1; s < 32; ++s) ::sigaction(s, nullptr, &before[s]);
    live_and_die();
    for (int s = 1; s < 32; ++s) {
      struct sigaction after = {};
      ::sigaction(s, nullptr, &after);
      expect(after.sa_handler == before[s].sa_handler, "a signal disposition was changed");
    }
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("descriptors of the library do not pass to programs that the host starts", "[hosts]") {
  Host host([](Host::Side&) {
    constexpr int highest = 1024;
    bool open_before[highest];
    for (int d = 0; d < highest; ++d) open_before[d] = ::fcntl(d, F_GETFD) >= 0;
    Handler<Subject> h;
    expect(h.call(&Subject::add, 1).get() == 1, "wrong result");
    for (int d = 0; d < highest; ++d) {
      const int flags = ::fcntl(d, F_GETFD);
      if (flags < 0) continue;
      char target[256] = {};
      const std::string link = "/proc/self/fd/" + std::to_string(d);
      if (::readlink(link.c_str(), target, sizeof target - 1) < 0) continue;
      const bool ours =
          !open_before[d] || std::string(target).find("memfd:apalis") != std::string::npos;
      if (ours) expect((flags & FD_CLOEXEC) != 0, target);
    }
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("1000 handlers fit a soft limit of 1024 descriptors", "[hosts]") {
  Host host([](Host::Side&) {
    std::vector<Handler<Subject>> handlers;
    for (int i = 0; i < 1000; ++i) handlers.emplace_back();
    std::vector<apalis::Token<int>> tokens;
    for (auto& h : handlers) tokens.push_back(h.call(&Subject::add, 2));
    for (auto& t : tokens) expect(t.get() == 2, "wrong result");
    expect(open_descriptors() <= 1024, "more than one descriptor a handler");
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a handler refuses to work in a host's plain fork and leaves the worker alone",
          "[hosts]") {
  Handler<Subject> h;
  const Watched worker(h.pid());
  Host host([&h](Host::Side&) {
    try {
      (void)h.call(&Subject::add, 1);
      return 1;
    } catch (const apalis::Error&) {
    }
    try {
      h.kill();
      return 2;
    } catch (const apalis::Error&) {
    }
    const Handler<Subject> stolen = std::move(h);
    return 0;
  });
  CHECK(host.status() == 0);
  CHECK(worker.runs());
  CHECK(h.call(&Subject::add, 1).get() == 1);
}
