// SPDX-License-Identifier: BSL-1.0
// Who makes workers is killed: the spare child, the fork server. Nobody waits for it for ever.
#include <chrono>
#include <string>

#include "../fault/host.hpp"
#include "script.hpp"
#include "stage.hpp"
#include "support/catch.hpp"

using namespace points;
using namespace std::chrono_literals;

namespace {

/// What a maker of workers goes through: no large replies, no posts, and it is killed, not closed.
bool is_makers(Point point) {
  return point != Point::child_attachment && point != Point::child_piece && point != Point::child_finished &&
         point != Point::child_closing && point != Point::child_closed;
}

std::string check_order(const Stage& stage, const Outcome& outcome) {
  if (!outcome.wrong.empty()) return outcome.wrong;
  int last = 0;
  for (const int id : stage.executed()) {
    if (id != 0 && id <= last) return "a call was run twice, or out of order";
    if (id != 0) last = id;
  }
  return "";
}

}  // namespace

TEST_CASE("a spare child killed at any point makes the next death final", "[points]") {
  for (const Point point : child_points())
    for (const int time : {1, 3}) {
      INFO(name_of(point) << ", time " << time);
      Stage stage;
      stage.kill(Role::spare, point, time);
      // Its workers retire, so it is asked for one again and again.
      const auto outcome = play(stage, Scene::retirement, {.restart = {.max = 10, .backoff = 1ms}});
      CHECK(check_order(stage, outcome) == "");
      const bool comes_here =
          is_makers(point) &&
          (time == 1 || (point != Point::child_born && point != Point::child_made));
      if (point != Point::child_asleep) CHECK(stage.killed() == comes_here);
    }
}

TEST_CASE("a fork server killed at any point ends in WorkerDied, and can be started again",
          "[points]") {
  for (const Point point : child_points())
    for (const int time : {1, 3}) {
      INFO(name_of(point) << ", time " << time);
      {
        Stage stage;
        stage.kill(Role::server, point, time);
        apalis::ForkServer::start();
        try {
          const auto outcome =
              play(stage, Scene::retirement, {.restart = {.max = 10, .backoff = 1ms}});
          CHECK(check_order(stage, outcome) == "");
        } catch (const apalis::WorkerDied& e) {
          CHECK(stage.killed());  // the first worker was not made
          CHECK(e.signal() == SIGKILL);
        }
        apalis::ForkServer::stop();
        // What it is closed by is more than a spare child sees.
        const bool comes_here =
            point != Point::child_attachment && point != Point::child_piece && point != Point::child_finished &&
            (time == 1 || (point != Point::child_born && point != Point::child_made &&
                           point != Point::child_closing && point != Point::child_closed));
        if (point != Point::child_asleep) CHECK(stage.killed() == comes_here);
      }
      const Stage stage;
      apalis::ForkServer::start();
      const auto outcome = play(stage, Scene::calls, {});
      CHECK(judge(stage, point, Scene::calls, false, outcome) == "");
      apalis::ForkServer::stop();
    }
}
