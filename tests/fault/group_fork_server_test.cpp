// SPDX-License-Identifier: BSL-1.0
// Groups whose workers come from the fork server: their objects get there as bytes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::ForkServer;
using apalis::GroupHandler;
using apalis::GroupOptions;
using namespace std::chrono_literals;

namespace {

struct Named {
  std::string name;
  int total = 0;

  Named() = default;
  explicit Named(std::string n, int t = 0) : name(std::move(n)), total(t) {}

  std::string tell() const { return name; }
  int add(int x) { return total += x; }
  int die_if(const std::string& which) {
    if (name == which) {
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    }
    return ++total;
  }

  template <class Archive>
  void save(Archive& archive) const {
    archive(name, total);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(name, total);
    if (total < 0) throw std::domain_error("a negative total");
  }
};

template <class Body>
void with_server(Body body) {
  Host host([&](Host::Side&) {
    ForkServer::start();
    {
      // With a thread of its own the host may not fork any more.
      const std::jthread other{[](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::yield();
      }};
      body();
    }
    ForkServer::stop();
    expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "a child was left");
    return 0;
  });
  CHECK(host.status() == 0);
}

GroupOptions options(unsigned restarts = 0) {
  return {.workers = 2,
          .restart = {.max = restarts, .backoff = 1ms},
          .fork_in_threads = apalis::ForkInThreads::refuse};
}

std::vector<Named> named() {
  std::vector<Named> objects;
  for (int i = 0; i < 5; ++i) objects.emplace_back(std::string(1, static_cast<char>('a' + i)), i);
  return objects;
}
const std::vector<std::string> names{"a", "b", "c", "d", "e"};

}  // namespace

TEST_CASE("the server makes a group's objects from those that were carried", "[group]") {
  with_server([] {
    GroupHandler<Named> g{options(), apalis::carry, named()};
    expect(g.map(&Named::tell) == names, "other objects");
    expect(g.map(&Named::add, 10) == std::vector{10, 11, 12, 13, 14}, "other totals");
    g.close();
  });
}

TEST_CASE("the server makes a group's objects by a factory without state", "[group]") {
  with_server([] {
    GroupHandler<Named> g{options(), std::in_place, 5, [](std::size_t i) {
                            if (i == 3) throw std::out_of_range("no number 3");
                            return Named{std::string(1, static_cast<char>('a' + i))};
                          }};
    for (const std::size_t i : {0U, 1U, 2U, 4U})
      expect(g[i].call(&Named::tell).get() == names[i], "another object");
    try {
      (void)g[3].call(&Named::tell).get();
      expect(false, "an object that was not made");
    } catch (const std::out_of_range&) {
    }
  });
}

TEST_CASE("the server makes a group's objects from the same arguments", "[group]") {
  with_server([] {
    GroupHandler<Named> g{options(), std::in_place, 3, "all", 7};
    expect(g.map(&Named::tell) == std::vector<std::string>(3, "all"), "other objects");
    expect(g.map(&Named::add, 0) == std::vector{7, 7, 7}, "other totals");
  });
}

TEST_CASE("an object that can't be read in the server's child fails its calls only", "[group]") {
  with_server([] {
    auto objects = named();
    objects[4].total = -1;
    GroupHandler<Named> g{options(), apalis::carry, std::move(objects)};
    for (const std::size_t i : {0U, 1U, 2U, 3U})
      expect(g[i].call(&Named::tell).get() == names[i], "another object");
    try {
      (void)g[4].call(&Named::tell).get();
      expect(false, "an object that was not made");
    } catch (const std::domain_error&) {
    }
  });
}

TEST_CASE("the server replaces a group's workers", "[group][restart]") {
  with_server([] {
    GroupHandler<Named> g{options(2), apalis::carry, named()};
    expect(g.map(&Named::add, 1) == std::vector{1, 2, 3, 4, 5}, "other totals");
    for (int i = 0; i < 2; ++i) {
      auto token = g[3].call(&Named::die_if, "d");
      expect(token.wait_for(60s), "a token hangs");
      try {
        (void)token.get();
        expect(false, "a result from the dead");
      } catch (const apalis::WorkerDied&) {
      }
      expect(g[3].call(&Named::add, 0).get() == 3, "not as it was carried");
    }
    expect(g.map(&Named::tell) == names, "other objects");
    expect(g.restarts() == 2, "other restarts");
  });
}

TEST_CASE("a group that can't be sent is refused in a process with threads", "[group]") {
  with_server([] {
    struct Unsendable {
      std::unique_ptr<int> value;
      int tell() const { return *value; }
    };
    std::vector<Unsendable> objects(3);
    try {
      const GroupHandler<Unsendable> g{options(), apalis::carry, std::move(objects)};
      expect(false, "it was not refused");
    } catch (const apalis::Error&) {
    }
  });
}
