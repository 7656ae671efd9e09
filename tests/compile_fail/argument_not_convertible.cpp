// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: an argument of the first type does not convert to a parameter of the second
#include <apalis/apalis.hpp>
#include <string>

struct Counter {
  int add(int x) { return x; }
};

int main() {
  apalis::Handler<Counter> h;
#ifdef CONTROL
  (void)h.call(&Counter::add, 5);
#else
  (void)h.call(&Counter::add, std::string("5"));
#endif
}
