// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a parameter can't be a span of non-const elements
#include <apalis/apalis.hpp>
#include <span>
#include <vector>

struct Solver {
  void relax(std::span<double> xs) { xs[0] = 0; }
  double sum(std::span<const double> xs) { return xs[0]; }
};

int main() {
  apalis::Handler<Solver> h;
  std::vector<double> xs(3);
#ifdef CONTROL
  (void)h.call(&Solver::sum, xs);
#else
  (void)h.call(&Solver::relax, xs);
#endif
}
