// SPDX-License-Identifier: BSL-1.0
// EXPECT: map_reduce() needs op(T, T) and op(T, R) that return a T

#include <apalis/apalis.hpp>
#include <functional>
#include <string>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  (void)engine.map_reduce([](int x) { return x; }, std::plus<>{}, 0L, items);
#else
  (void)engine.map_reduce([](int x) { return std::to_string(x); }, std::plus<>{}, 0L, items);
#endif
}
