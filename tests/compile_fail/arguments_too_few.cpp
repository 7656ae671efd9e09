// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: the number of arguments is not the number of parameters
#include <apalis/apalis.hpp>

struct Counter {
  int add(int x, int times = 1) { return x * times; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call(&Counter::add, 5, 1);
#else
  (void)h.call(&Counter::add, 5);
#endif
}
