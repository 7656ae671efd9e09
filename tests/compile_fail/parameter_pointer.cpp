// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a parameter can't be a pointer
#include <apalis/apalis.hpp>

struct Reader {
  int at(const int* p) { return *p; }
  int of(int x) { return x; }
};

int main() {
  apalis::Handler<Reader> h;
  int x = 3;
#ifdef CONTROL
  (void)h.call(&Reader::of, x);
#else
  (void)h.call(&Reader::at, &x);
#endif
}
