// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: by_value() sends a callable as its bytes
#include <apalis/apalis.hpp>
#include <string>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
  std::string text = "text";
#ifdef CONTROL
  (void)h.call([](Counter&, const std::string& t) { return t.size(); }, text);
#else
  (void)h.call(apalis::by_value([text](Counter&) { return text.size(); }));
#endif
}
