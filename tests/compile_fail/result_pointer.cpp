// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a pointer
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
  const int* pointer() { return &total; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call([](Counter& c) { return *c.pointer(); });
#else
  (void)h.call(&Counter::pointer);
#endif
}
