// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a view can't be passed to a generic callable
#include <apalis/apalis.hpp>
#include <string>
#include <string_view>

struct Counter {
  int total = 0;
};

int main() {
  apalis::Handler<Counter> h;
  const auto length = [](Counter&, const auto& text) { return text.size(); };
#ifdef CONTROL
  (void)h.call(length, std::string("text"));
#else
  (void)h.call(length, std::string_view("text"));
#endif
}
