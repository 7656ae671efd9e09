// SPDX-License-Identifier: BSL-1.0
// EXPECT: does not convert to a parameter of the second

#include <apalis/apalis.hpp>
#include <string>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.map([](double x) { return x; }, items);
#else
  (void)engine.map([](const std::string& x) { return x; }, items);
#endif
}
