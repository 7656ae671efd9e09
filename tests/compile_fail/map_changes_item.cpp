// SPDX-License-Identifier: BSL-1.0
// EXPECT: can't be a non-const reference

#include <apalis/apalis.hpp>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.map([](const int& x) { return x; }, items);
#else
  (void)engine.map([](int& x) { return ++x; }, items);
#endif
}
