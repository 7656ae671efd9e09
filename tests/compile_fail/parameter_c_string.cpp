// SPDX-License-Identifier: BSL-1.0
// EXPECT: take the value, std::string, std::string_view
#include <apalis/apalis.hpp>
#include <string_view>

struct Parser {
  int pointer(const char* text) { return text[0]; }
  int view(std::string_view text) { return text[0]; }
};

int main() {
  apalis::Handler<Parser> h;
#ifdef CONTROL
  (void)h.call(&Parser::view, "text");
#else
  (void)h.call(&Parser::pointer, "text");
#endif
}
