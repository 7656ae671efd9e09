// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this aggregate can't cross as its bytes because of a field
#include <apalis/apalis.hpp>

struct Name {
#ifdef CONTROL
  char text[16];
#else
  const char* text[16];
#endif
};
struct Person {
  Name names[2];
};
struct Register {
  int add(const Person& person) { return person.names[0].text[0] != 0; }
};

int main() {
  apalis::Handler<Register> h;
  (void)h.call(&Register::add, Person{});
}
