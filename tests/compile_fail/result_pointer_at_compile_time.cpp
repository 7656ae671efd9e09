// SPDX-License-Identifier: BSL-1.0
// EXPECT: a result can't be a pointer, which means nothing in another process

#include <apalis/apalis.hpp>

struct Subject {
  int n = 0;
  int* find(int) { return &n; }
};

void check(apalis::Handler<Subject>& h) {
#ifdef CONTROL
  h.post<&Subject::find>(1);
#else
  (void)h.call<&Subject::find>(1);
#endif
}
