// SPDX-License-Identifier: BSL-1.0
// EXPECT: flat_map() needs a callable that returns a container of results

#include <apalis/apalis.hpp>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.flat_map([](int x) { return std::vector<int>(3, x); }, items);
#else
  (void)engine.flat_map([](int x) { return x; }, items);
#endif
}
