// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who is killed where. A page that the test, its workers and their makers share tells each of them
// at which point of the protocol to end, and keeps what came to pass.
//
//   Stage stage;                                                   // before the first fork
//   stage.kill(Role::worker, Point::child_begun, 3);               // at the third time
//   { Handler<Scribe> h; … }
//   CHECK(stage.killed());

#include <sys/types.h>

#include <apalis/apalis.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

namespace points {

using apalis::detail::Point;

inline constexpr auto first_parent_point = Point::parent_accepted;
inline constexpr std::size_t point_count = static_cast<std::size_t>(Point::parent_replaced) + 1;

/// Every point has a name here, or this does not compile.
[[nodiscard]] const char* name_of(Point point);
/// Those that a handler's worker meets: only an engine's leave by themselves.
[[nodiscard]] std::vector<Point> child_points();
[[nodiscard]] std::vector<Point> parent_points();

/// What a process is. Handlers under test are called handler_name, for their workers to be known.
enum class Role { parent, worker, spare, server };
inline constexpr std::size_t role_count = 4;
inline constexpr const char* handler_name = "scribe";

/// **Owns** the page, and the hook of this process and of those that it forks. One at a time.
class Stage {
 public:
  Stage();
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// SIGKILL for the process of that role that is the `time`th to reach the point. Once.
  void kill(Role role, Point point, int time);
  [[nodiscard]] bool killed() const;

  [[nodiscard]] int reached(Role role, Point point) const;
  /// Waits until a point has been reached more often than `before`, or there was a kill. Throws
  /// after half a minute.
  void await(Role role, Point point, int before) const;

  /// In workers: a call of this number was run.
  static void record(int id);
  /// In workers: await() without a bound on who is killed.
  static void await_parent_asleep();
  /// The numbers of the calls that were run, in the order in which they began to.
  [[nodiscard]] std::vector<int> executed() const;

 private:
  struct Page;
  static void arrive(Point point) noexcept;

  static Page* page_;
};

}  // namespace points
