// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this type can be saved but not made anew
#include <apalis/apalis.hpp>

struct Id {
  explicit Id(int n) : number(n) {}
  int number;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(number);
  }
#ifdef CONTROL
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Id>& construct) {
    int n = 0;
    archive(n);
    construct(n);
  }
#endif
};
struct Registry {
  int add(Id id) { return id.number; }
};

int main() {
  apalis::Handler<Registry> h;
  (void)h.call(&Registry::add, Id(3));
}
