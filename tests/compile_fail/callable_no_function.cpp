// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this can't be called in a worker
#include <apalis/apalis.hpp>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call([](Counter&) { return 5; });
#else
  (void)h.call(5);
#endif
}
