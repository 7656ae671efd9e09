// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this callable can't be called with these arguments
#include <apalis/apalis.hpp>

int main() {
  const apalis::Engine engine;
  auto group = apalis::TaskGroup<int>::make(engine);
#ifdef CONTROL
  group->run([](const auto& x) { return x + 1; }, 5);
#else
  group->run([](auto& x) { return x + 1; }, 5);
#endif
}
