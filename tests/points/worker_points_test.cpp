// SPDX-License-Identifier: BSL-1.0
// A worker is killed at each point of the protocol, at its first and at a later time.
#include <chrono>
#include <map>
#include <string>

#include "../fault/host.hpp"
#include "script.hpp"
#include "stage.hpp"
#include "support/catch.hpp"

using namespace points;
using namespace std::chrono_literals;

namespace {

constexpr int times[] = {1, 3};

apalis::Options with_restarts(unsigned max) {
  return {.restart = {.max = max, .backoff = 1ms}};
}

/// Plays every scene for every point; each must be met in some scene at each of the times.
void kill_workers(bool restarts) {
  for (const Point point : child_points())
    for (const int time : times) {
      int killed = 0;
      for (const Scene scene : all_scenes) {
        INFO(name_of(point) << ", time " << time << ", " << name_of(scene));
        Stage stage;
        stage.kill(Role::worker, point, time);
        const auto outcome = play(stage, scene, with_restarts(restarts ? 10 : 0));
        const auto wrong = judge(stage, point, scene, restarts, outcome);
        CHECK(wrong == "");
        killed += stage.killed() ? 1 : 0;
      }
      INFO(name_of(point) << ", time " << time);
      CHECK((killed > 0 || (restarts && point == Point::child_attachment)));
    }
}

struct Server {
  Server() { apalis::ForkServer::start(); }
  ~Server() { apalis::ForkServer::stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
};

}  // namespace

TEST_CASE("nobody is killed: every scene ends well", "[points]") {
  const bool restarts = GENERATE(false, true);
  for (const Scene scene : all_scenes) {
    INFO(name_of(scene) << (restarts ? ", restarts" : ""));
    const Stage stage;
    const auto outcome = play(stage, scene, with_restarts(restarts ? 10 : 0));
    const auto wrong = judge(stage, Point::child_born, scene, restarts, outcome);
    CHECK(wrong == "");
    CHECK(!stage.killed());
  }
}

TEST_CASE("a worker killed at any point fails what it had, and what comes after", "[points]") {
  kill_workers(false);
}

TEST_CASE("a worker killed at any point is replaced, and what it had not begun is run once",
          "[points]") {
  kill_workers(true);
}

TEST_CASE("the same with workers of the fork server", "[points]") {
  const bool restarts = GENERATE(false, true);
  for (const Point point : child_points())
    for (const int time : times) {
      int killed = 0;
      for (const Scene scene : all_scenes) {
        INFO(name_of(point) << ", time " << time << ", " << name_of(scene));
        Stage stage;
        const Server server;  // forked after the stage, which it shares then
        stage.kill(Role::worker, point, time);
        const auto outcome = play(stage, scene, with_restarts(restarts ? 10 : 0));
        const auto wrong = judge(stage, point, scene, restarts, outcome);
        CHECK(wrong == "");
        killed += stage.killed() ? 1 : 0;
      }
      INFO(name_of(point) << ", time " << time);
      CHECK((killed > 0 || (restarts && point == Point::child_attachment)));
    }
}
