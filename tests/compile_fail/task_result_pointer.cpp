// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a pointer
#include <apalis/apalis.hpp>
#include <string>

int main() {
  const apalis::Engine engine;
#ifdef CONTROL
  auto group = apalis::TaskGroup<std::string>::make(engine);
#else
  auto group = apalis::TaskGroup<const char*>::make(engine);
#endif
  group->run([] { return "a literal"; });
}
