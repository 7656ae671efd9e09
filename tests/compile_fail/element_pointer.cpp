// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: pointers can't cross, not as elements either
#include <apalis/apalis.hpp>
#include <map>
#include <vector>

struct Sum {
  int pointed(const std::map<int, std::vector<int*>>& xs) { return static_cast<int>(xs.size()); }
  int held(const std::map<int, std::vector<int>>& xs) { return static_cast<int>(xs.size()); }
};

int main() {
  apalis::Handler<Sum> h;
#ifdef CONTROL
  (void)h.call(&Sum::held, std::map<int, std::vector<int>>{});
#else
  (void)h.call(&Sum::pointed, std::map<int, std::vector<int*>>{});
#endif
}
