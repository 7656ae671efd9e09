// SPDX-License-Identifier: BSL-1.0
// The parent is killed at each point of the protocol: all that it made ends with it.
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "../fault/host.hpp"
#include "script.hpp"
#include "stage.hpp"
#include "support/catch.hpp"

using namespace points;
using namespace std::chrono_literals;

namespace {

/// While it lives, the children of a child that ends are this process's, to be waited for.
struct Adoption {
  Adoption() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~Adoption() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }
  Adoption(const Adoption&) = delete;
  Adoption& operator=(const Adoption&) = delete;
};

/// Whether every child and adopted child has ended, or does within the bound.
bool all_end() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  for (;;) {
    const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
    if (ended < 0 && errno == ECHILD) return true;
    if (ended > 0) continue;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
}

struct Deadly {
  int die_now() {
    ::raise(SIGKILL);
    return 0;
  }
};

/// Workers, spares and a server; deaths, retirements, large calls: a parent's whole life.
void live(const Stage& stage, bool served) {
  if (served) apalis::ForkServer::start();
  apalis::Handler<Deadly> bystander{{.restart = {.max = 1}}, std::in_place};
  for (const Scene scene : all_scenes) {
    const auto outcome = play(stage, scene, {.restart = {.max = 5, .backoff = 1ms}});
    expect(outcome.wrong.empty(), outcome.wrong.c_str());
    (void)play(stage, scene, {});
  }
  apalis::Handler<Deadly> mortal{{.restart = {.max = 10, .backoff = 1ms}}, std::in_place};
  for (int i = 0; i < 10; ++i) {
    auto token = mortal.call(&Deadly::die_now);
    expect(token.wait_for(60s), "a token hangs");
    try {
      token.get();
    } catch (const apalis::WorkerDied&) {
    }
  }
  if (served) apalis::ForkServer::stop();
}

}  // namespace

TEST_CASE("a parent killed at any point takes its children with it", "[points]") {
  const bool served = GENERATE(false, true);
  for (const Point point : parent_points())
    for (const int time : {1, 3, 10}) {
      INFO(name_of(point) << ", time " << time << (served ? ", fork server" : ""));
      const Adoption adoption;
      Stage stage;
      stage.kill(Role::parent, point, time);
      Host host([&](Host::Side&) {
        live(stage, served);
        return 0;
      });
      const int status = host.status();
      CHECK(stage.killed());
      CHECK(status == 1000 + SIGKILL);
      CHECK(all_end());
    }
}
