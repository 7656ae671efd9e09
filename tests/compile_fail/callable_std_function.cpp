// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a std::function hides what it holds
#include <apalis/apalis.hpp>
#include <functional>

struct Counter {
  int total = 0;
};
int total(const Counter& c) {
  return c.total;
}

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call(total);
#else
  (void)h.call(std::function<int(const Counter&)>(total));
#endif
}
