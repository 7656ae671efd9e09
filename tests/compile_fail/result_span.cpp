// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a result can't be a view
#include <apalis/apalis.hpp>
#include <span>
#include <vector>

struct Data {
  std::vector<int> xs;
  std::span<const int> view() { return xs; }
  const std::vector<int>& all() { return xs; }
};

int main() {
  apalis::Handler<Data> h;
#ifdef CONTROL
  (void)h.call(&Data::all);
#else
  (void)h.call(&Data::view);
#endif
}
