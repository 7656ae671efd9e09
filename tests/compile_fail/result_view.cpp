// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a view
#include <apalis/apalis.hpp>
#include <string>
#include <string_view>

struct Person {
  std::string name;
  std::string_view view() { return name; }
  const std::string& text() { return name; }
};

int main() {
  apalis::Handler<Person> h;
#ifdef CONTROL
  (void)h.call(&Person::text);
#else
  (void)h.call(&Person::view);
#endif
}
