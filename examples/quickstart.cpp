// SPDX-License-Identifier: BSL-1.0
//
// The program of the README: two objects in two processes.

#include <apalis/apalis.hpp>
#include <cmath>
#include <csignal>
#include <iostream>
#include <random>
#include <stdexcept>

class Darts {  // an ordinary class: no base class, no macro, no registration
 public:
  explicit Darts(unsigned seed) : random_(seed) {}
  long hits(long thrown) {
    if (thrown < 0) throw std::invalid_argument("a negative number of darts");
    long inside = 0;
    for (long i = 0; i < thrown; ++i) inside += std::hypot(side_(random_), side_(random_)) < 1;
    return inside;
  }

 private:
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> side_{-1, 1};
};

int main() {
  apalis::Handler<Darts> left{std::in_place, 1U};  // forks; Darts{1} is constructed over there
  apalis::Handler<Darts> right{std::in_place, 2U};

  auto a = left.call(&Darts::hits, 10'000'000);   // a Token<long>, at once
  auto b = right.call(&Darts::hits, 10'000'000);  // now two cores are at work
  std::cout << "pi is about " << static_cast<double>(a.get() + b.get()) / 5'000'000 << '\n';

  try {
    left.call(&Darts::hits, -1).get();
  } catch (const std::invalid_argument& error) {  // thrown over there, the same type here
    std::cout << "left says: " << error.what() << '\n';
  }
  try {
    right.call([](Darts&) { std::raise(SIGKILL); }).get();  // what a crash looks like from here
  } catch (const apalis::WorkerDied& error) {
    std::cout << error.what() << '\n';
  }
  std::cout << "left goes on: " << left.call(&Darts::hits, 1000).get() << " of 1000 hit\n";
}
