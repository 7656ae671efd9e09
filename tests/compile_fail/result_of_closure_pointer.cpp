// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a pointer
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  h.post([](Counter& c) { return &c.total; });  // nobody sees the result
#else
  (void)h.call([](Counter& c) { return &c.total; });
#endif
}
