// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this generic callable can't be called with the object and these argument types
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call([](Counter& c, const auto& x) { return c.total + x; }, 5);
#else
  (void)h.call([](Counter& c, auto& x) { return c.total + x; }, 5);
#endif
}
