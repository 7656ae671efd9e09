// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this aggregate can't cross as its bytes because of a field
#include <apalis/apalis.hpp>
#include <array>
#include <string_view>

struct Word {
  std::string_view text;
  int count = 0;
};
struct OwnWord {
  std::array<char, 16> text;
  int count = 0;
};
struct Index {
  int add(const Word& word) { return word.count; }
  int add_own(const OwnWord& word) { return word.count; }
};

int main() {
  apalis::Handler<Index> h;
#ifdef CONTROL
  (void)h.call(&Index::add_own, OwnWord{});
#else
  (void)h.call(&Index::add, Word{});
#endif
}
