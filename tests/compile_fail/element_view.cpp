// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a view can't cross as an element or a field
#include <apalis/apalis.hpp>
#include <string>
#include <string_view>
#include <vector>

struct Joiner {
  int views(const std::vector<std::string_view>& xs) { return static_cast<int>(xs.size()); }
  int strings(const std::vector<std::string>& xs) { return static_cast<int>(xs.size()); }
};

int main() {
  apalis::Handler<Joiner> h;
#ifdef CONTROL
  (void)h.call(&Joiner::strings, std::vector<std::string>{});
#else
  (void)h.call(&Joiner::views, std::vector<std::string_view>{});
#endif
}
