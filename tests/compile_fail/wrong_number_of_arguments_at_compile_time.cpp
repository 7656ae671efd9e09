// SPDX-License-Identifier: BSL-1.0
// EXPECT: the number of arguments is not the number of parameters of this callable

#include <apalis/apalis.hpp>

struct Subject {
  int add(int x) { return x; }
};

void check(apalis::Handler<Subject>& h) {
#ifdef CONTROL
  (void)h.call<&Subject::add>(5);
#else
  (void)h.call<&Subject::add>(5, 6);
#endif
}
