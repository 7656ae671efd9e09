// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this can't be run as a task
#include <apalis/apalis.hpp>

struct Point {
  double x = 0;
  [[nodiscard]] double twice() const { return 2 * x; }
};

int main() {
  const apalis::Engine engine;
  auto group = apalis::TaskGroup<double>::make(engine);
#ifdef CONTROL
  group->run([](const Point& p) { return p.twice(); }, Point{});
#else
  group->run(&Point::twice, Point{});
#endif
}
