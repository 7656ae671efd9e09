// SPDX-License-Identifier: BSL-1.0
// EXPECT: takes the worker's state as its first parameter

#include <apalis/apalis.hpp>
#include <string>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.with_state<std::string>([] { return std::string(); })
      .map([](std::string&, int x) { return x; }, items);
#else
  (void)engine.with_state<std::string>([] { return std::string(); })
      .map([](int x, std::string&) { return x; }, items);
#endif
}
