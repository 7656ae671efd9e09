// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this aggregate can't cross because the library can't look into one with base classes
#include <apalis/apalis.hpp>

struct Base {
  int a = 0;
};
struct Derived : Base {
  int b = 0;
};
#ifdef CONTROL
template <>
inline constexpr bool apalis::trivially_sendable<Derived> = true;
#endif
struct Sink {
  int put(Derived d) { return d.b; }
};

int main() {
  apalis::Handler<Sink> h;
  (void)h.call(&Sink::put, Derived{});
}
