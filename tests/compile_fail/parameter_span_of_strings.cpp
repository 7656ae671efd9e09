// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a span parameter borrows the bytes of its elements
#include <apalis/apalis.hpp>
#include <span>
#include <string>
#include <vector>

struct Joiner {
  int in_place(std::span<const std::string> words) { return static_cast<int>(words.size()); }
  int copied(const std::vector<std::string>& words) { return static_cast<int>(words.size()); }
};

int main() {
  apalis::Handler<Joiner> h;
  std::vector<std::string> words(3);
#ifdef CONTROL
  (void)h.call(&Joiner::copied, words);
#else
  (void)h.call(&Joiner::in_place, words);
#endif
}
