// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a non-const reference
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
  int& reference() { return total; }
  const int& const_reference() { return total; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call(&Counter::const_reference);
#else
  (void)h.call(&Counter::reference);
#endif
}
