// SPDX-License-Identifier: BSL-1.0
// EXPECT: a result can't be a pointer

#include <apalis/apalis.hpp>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.map([](int x) { return x; }, items);
#else
  (void)engine.map([](const int& x) { return &x; }, items);
#endif
}
