// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a callable with state (a closure with captures)
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
  int k = 3;
#ifdef CONTROL
  h.post([](Counter& c, int x) { c.total = x; }, k);
#else
  h.post([&k](Counter& c) { c.total = k; });
#endif
}
