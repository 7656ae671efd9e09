// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is done with a handler while somebody is killed, and how it ended.

#include <apalis/apalis.hpp>
#include <cstddef>
#include <map>
#include <string>

#include "stage.hpp"

namespace points {

/// An object that tells the stage of each call, by its number.
struct Scribe {
  int note(int id) {
    Stage::record(id);
    return id;
  }
  /// Large both ways.
  std::string echo(int id, std::string text) {
    Stage::record(id);
    return text;
  }
  int refuse(int id);
  /// Long enough for the parent to fall asleep.
  int dally(int id) {
    Stage::record(id);
    Stage::await_parent_asleep();
    return id;
  }
};

/// What one handler goes through. Each kind meets other points.
enum class Scene { calls, posts, large, idle, drain, retirement, close };
inline constexpr Scene all_scenes[] = {Scene::calls, Scene::posts,      Scene::large, Scene::idle,
                                       Scene::drain, Scene::retirement, Scene::close};
[[nodiscard]] const char* name_of(Scene scene);

/// How the calls ended, by their numbers, which count up.
struct Outcome {
  enum class End { result, died, post };
  std::map<int, End> ends;
  std::size_t lost_posts = 0;  // that drain() and close() told of, with WorkerDied
  bool drain_died = false;     // a drain() or close() threw WorkerDied
  bool killed_before_last = false;
  bool works_after = false;  // the last call had a result
  std::string first_death;   // what the first WorkerDied says
  std::string wrong;         // what nobody should see: the first of it, or nothing
};

/// Plays the scene on a handler of its own. Whatever is killed meanwhile, it must return.
[[nodiscard]] Outcome play(const Stage& stage, Scene scene, apalis::Options options);

/// What an outcome says of a worker that was killed, or not, at that point: the first thing that
/// must not be, or nothing.
[[nodiscard]] std::string judge(const Stage& stage, Point point, Scene scene, bool restarts,
                                const Outcome& outcome);

}  // namespace points
