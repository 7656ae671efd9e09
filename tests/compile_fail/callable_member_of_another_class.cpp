// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this member pointer does not belong to the handler's class
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
  int get() { return total; }
};
struct Other {
  int get() { return 0; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call(&Counter::get);
#else
  (void)h.call(&Other::get);
#endif
}
