// SPDX-License-Identifier: BSL-1.0
// EXPECT: imap() needs a callable that returns something: use for_each()

#include <apalis/apalis.hpp>
#include <vector>

void check(const apalis::Engine& engine, const std::vector<int>& items) {
#ifdef CONTROL
  engine.for_each([](int) {}, items);
#else
  (void)engine.imap([](int) {}, items);
#endif
}
