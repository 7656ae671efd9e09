// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this is a pointer to a data member
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.get(&Counter::total);
#else
  (void)h.call(&Counter::total);
#endif
}
