// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a parameter can't be a span of non-const elements
// EXPECT: or pass an apalis::SharedArray
#include <apalis/apalis.hpp>
#include <span>

struct Solver {
  void relax(std::span<double> xs) { xs[0] = 0; }
};

int main() {
  apalis::Handler<Solver> h;
#ifdef CONTROL
  (void)h.call(&Solver::relax, apalis::SharedArray<double>(3));
#else
  (void)h.call(&Solver::relax, apalis::SharedArray<float>(3));
#endif
}
