// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: an argument of the first type would lose its derived part
#include <apalis/apalis.hpp>

struct Animal {
  virtual ~Animal() = default;
  int legs = 4;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(legs);
  }
};
struct Bird : Animal {
  int wings = 2;
};
struct Zoo {
  int add(const Animal& animal) { return animal.legs; }
};

int main() {
  apalis::Handler<Zoo> h;
#ifdef CONTROL
  (void)h.call(&Zoo::add, Animal{});
#else
  (void)h.call(&Zoo::add, Bird{});
#endif
}
