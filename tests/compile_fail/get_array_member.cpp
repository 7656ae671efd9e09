// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a C array can't be returned or assigned
#include <apalis/apalis.hpp>
#include <array>

struct Grid {
  int cells[9] = {};
  std::array<int, 9> row{};
};

int main() {
  apalis::Handler<Grid> h;
#ifdef CONTROL
  (void)h.get(&Grid::row);
#else
  (void)h.get(&Grid::cells);
#endif
}
