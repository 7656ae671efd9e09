// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a callable with state (a closure with captures)
// EXPECT: apalis::by_value(f)
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
  const int k = static_cast<int>(sizeof(h));
#ifdef CONTROL
  (void)h.call(apalis::by_value([k](Counter& c, int x) { return c.total + k * x; }), 4);
#else
  (void)h.call([k](Counter& c, int x) { return c.total + k * x; }, 4);
#endif
}
