// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a parameter can't be a non-const reference
#include <apalis/apalis.hpp>

struct Counter {
  void into(int& x) { x = 1; }
  int of(const int& x) { return x; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call<&Counter::of>(1);
#else
  (void)h.call<&Counter::into>(1);
#endif
}
