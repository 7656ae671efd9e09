// SPDX-License-Identifier: BSL-1.0
// EXPECT: a parameter can't be a pointer, which means nothing in another process

#include <apalis/apalis.hpp>

struct Subject {
  int n = 0;
};

void check(apalis::Handler<Subject>& h) {
#ifdef CONTROL
  int x = 1;
  (void)h.call([](Subject& s, int y) { return s.n + y; }, x);
#else
  int x = 1;
  (void)h.call([](Subject& s, int* p) { return s.n + *p; }, &x);
#endif
}
