// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: set() can't assign to a member
#include <apalis/apalis.hpp>

struct Counter {
  const int limit = 9;
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  h.set(&Counter::total, 3);
#else
  h.set(&Counter::limit, 3);
#endif
}
