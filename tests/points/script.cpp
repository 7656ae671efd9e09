// SPDX-License-Identifier: BSL-1.0
#include "script.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <utility>

namespace points {
namespace {

using End = Outcome::End;
using apalis::Handler;
using apalis::Token;
using namespace std::chrono_literals;

constexpr auto patience = 60s;

/// One handler under way through its scene.
class Player {
 public:
  Player(const Stage& stage, apalis::Options options)
      : stage_(stage), handler_(std::move(options), std::in_place) {}

  void calls(int count) {
    for (int i = 0; i < count; ++i) {
      const int id = next_++;
      small_.emplace_back(id, handler_.call(&Scribe::note, id));
    }
    settle();
  }

  void posts(int count) {
    for (int i = 0; i < count; ++i) {
      const int id = next_++;
      outcome_.ends[id] = End::post;
      if (i % 7 == 3) {
        handler_.post(&Scribe::refuse, id);
      } else {
        handler_.post(&Scribe::note, id);
      }
    }
  }

  /// Of one block, of pieces, and of more than the arena holds.
  void large() {
    for (const std::size_t size : {40'000U, 100'000U, 700'000U, 300'000U}) {
      const int id = next_++;
      const std::string text(size, static_cast<char>('a' + id % 26));
      large_.emplace_back(id, std::make_pair(text, handler_.call(&Scribe::echo, id, text)));
    }
    settle();
  }

  void idle() {
    for (int i = 0; i < 4; ++i) {
      const int before = stage_.reached(Role::worker, Point::child_asleep);
      calls(1);
      // A worker that had gone to sleep before this call does so once more.
      if (!handler_.alive()) return;
      stage_.await(Role::worker, Point::child_asleep, before);
    }
    const int id = next_++;
    small_.emplace_back(id, handler_.call(&Scribe::dally, id));
    settle();
  }

  void drain() {
    try {
      handler_.drain();
    } catch (...) {
      errand_failed();
    }
  }

  void close() {
    try {
      handler_.close();
    } catch (...) {
      errand_failed();
    }
  }

  Outcome finish(bool closed) {
    if (!closed) {
      outcome_.killed_before_last = stage_.killed();
      Token<int> last = handler_.call(&Scribe::note, 0);
      outcome_.works_after = ends_well(last, 0);
    }
    return std::move(outcome_);
  }

 private:
  void settle() {
    for (auto& [id, token] : small_)
      outcome_.ends[id] = ends_well(token, id) ? End::result : End::died;
    for (auto& [id, large] : large_)
      outcome_.ends[id] = ends_well(large.second, large.first) ? End::result : End::died;
    small_.clear();
    large_.clear();
  }

  template <class R>
  bool ends_well(Token<R>& token, const R& expected) {
    if (!token.wait_for(patience)) throw std::runtime_error("a token hangs");
    try {
      if (token.get() != expected) wrong("a wrong result");
      return true;
    } catch (const apalis::WorkerDied& e) {
      died(e);
      return false;
    } catch (const std::exception& e) {
      wrong(e.what());
      return false;
    }
  }

  void errand_failed() {
    try {
      throw;
    } catch (const apalis::WorkerDied& e) {
      died(e);
      outcome_.drain_died = true;
    } catch (const apalis::PostError& e) {
      try {
        std::rethrow_exception(e.first());
      } catch (const apalis::WorkerDied& death) {
        died(death);
        ++outcome_.lost_posts;
      } catch (const std::domain_error&) {  // of refuse()
      } catch (const std::exception& other) {
        wrong(other.what());
      }
    } catch (const std::exception& e) {
      wrong(e.what());
    }
  }

  void died(const apalis::WorkerDied& death) {
    if (outcome_.first_death.empty()) outcome_.first_death = death.what();
  }

  void wrong(std::string what) {
    if (outcome_.wrong.empty()) outcome_.wrong = std::move(what);
  }

  const Stage& stage_;
  Handler<Scribe> handler_;
  int next_ = 1;
  std::vector<std::pair<int, Token<int>>> small_;
  std::vector<std::pair<int, std::pair<std::string, Token<std::string>>>> large_;
  Outcome outcome_;
};

}  // namespace

int Scribe::refuse(int id) {
  Stage::record(id);
  throw std::domain_error("refused");
}

const char* name_of(Scene scene) {
  switch (scene) {
    case Scene::calls:
      return "calls";
    case Scene::posts:
      return "posts";
    case Scene::large:
      return "large";
    case Scene::idle:
      return "idle";
    case Scene::drain:
      return "drain";
    case Scene::retirement:
      return "retirement";
    case Scene::close:
      return "close";
  }
  throw std::logic_error("a scene of no known name");
}

Outcome play(const Stage& stage, Scene scene, apalis::Options options) {
  options.name = handler_name;
  options.on_error = [](const std::exception_ptr&) {};  // what a destructor has to tell
  if (scene == Scene::retirement) options.max_calls_per_worker = 3;
  Player player{stage, std::move(options)};
  switch (scene) {
    case Scene::calls:
      player.calls(20);
      break;
    case Scene::posts:
      player.posts(20);
      player.calls(1);
      break;
    case Scene::large:
      player.large();
      player.calls(2);
      break;
    case Scene::idle:
      player.idle();
      break;
    case Scene::drain:
      for (int i = 0; i < 4; ++i) {
        player.posts(5);
        player.drain();
      }
      break;
    case Scene::retirement:
      player.calls(8);
      player.posts(7);
      player.large();
      player.drain();
      break;
    case Scene::close:
      player.posts(5);
      player.calls(2);
      player.posts(5);
      player.close();
      return player.finish(true);
  }
  return player.finish(false);
}

std::string judge(const Stage& stage, Point point, Scene scene, bool restarts,
                  const Outcome& outcome) {
  if (!outcome.wrong.empty()) return outcome.wrong;
  auto executed = stage.executed();
  std::erase(executed, 0);
  if (!std::is_sorted(executed.begin(), executed.end())) return "calls ran out of order";
  if (std::adjacent_find(executed.begin(), executed.end()) != executed.end())
    return "a call was run twice";
  const std::set<int> was_run(executed.begin(), executed.end());
  std::size_t died = 0;
  std::size_t missing = 0;
  bool after_death = false;
  for (const auto& [id, end] : outcome.ends) {
    if (end == End::result && !was_run.contains(id)) return "a result of a call that was not run";
    if (end == End::result && after_death && !restarts) return "a result after the death";
    if (end == End::died) after_death = true;
    died += end == End::died ? 1U : 0U;
    missing += was_run.contains(id) ? 0U : 1U;
  }
  if (!stage.killed()) {
    if (died > 0 || outcome.drain_died) return "a death of nobody: " + outcome.first_death;
    if (missing + outcome.lost_posts > 0) return "a call was lost, and nobody died";
    return "";
  }
  // Having said that it retires, a worker has; what kills it then changes nothing.
  const bool had_retired = scene == Scene::retirement && point == Point::child_closed;
  if (!restarts && !had_retired)
    return outcome.killed_before_last && outcome.works_after ? "a call was run by the dead" : "";
  if (outcome.killed_before_last && !outcome.works_after) return "nobody took the dead one's place";
  if (outcome.drain_died && scene != Scene::close) return "a drain() failed";
  // What may be lost with a worker is the one request that it had begun: a large reply is on its way
  // for a while, and a failed post says so before it is done.
  const bool large = scene == Scene::large || scene == Scene::retirement;
  const bool begun = point == Point::child_begun;
  const bool lost_call = begun || point == Point::child_ran ||
                         (large && (point == Point::child_piece || point == Point::child_replied ||
                                    point == Point::child_asleep));
  const bool lost_post = begun || point == Point::child_replied;
  if (died > (lost_call ? 1U : 0U)) return "a call that had not begun failed";
  if (missing > (begun ? 1U : 0U)) return "a call was lost";
  if (outcome.lost_posts > (lost_post ? 1U : 0U)) return "a post was told as lost that was not";
  return "";
}

}  // namespace points
