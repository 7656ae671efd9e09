// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: what this callable returns, the first type, does not convert to the R of its
#include <apalis/apalis.hpp>
#include <string>

int main() {
  const apalis::Engine engine;
  auto group = apalis::TaskGroup<int>::make(engine);
#ifdef CONTROL
  group->run([](int x) { return static_cast<double>(x); }, 5);
#else
  group->run([](int x) { return std::to_string(x); }, 5);
#endif
}
