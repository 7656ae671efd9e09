// SPDX-License-Identifier: BSL-1.0
// EXPECT: the number of arguments is not the number of parameters of this callable

#include <apalis/apalis.hpp>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.map([](int x, int y) { return x + y; }, items, 5);
#else
  (void)engine.map([](int x, int y) { return x + y; }, items);
#endif
}
