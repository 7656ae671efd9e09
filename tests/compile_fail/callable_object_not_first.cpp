// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a callable takes the handler's object as its first parameter
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call([](Counter& c, int x) { return c.total + x; }, 5);
#else
  (void)h.call([](int x, Counter& c) { return c.total + x; }, 5);
#endif
}
