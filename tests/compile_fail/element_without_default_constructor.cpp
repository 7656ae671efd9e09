// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a container's elements must be default constructible
#include <apalis/apalis.hpp>
#include <memory>
#include <vector>

struct Id {
  explicit Id(int n) : number(n) {}
  int number;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(number);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Id>& construct) {
    int n = 0;
    archive(n);
    construct(n);
  }
};
struct Registry {
  int add(const std::vector<Id>& ids) { return static_cast<int>(ids.size()); }
  int add_owned(const std::vector<std::unique_ptr<Id>>& ids) {
    return static_cast<int>(ids.size());
  }
};

int main() {
  apalis::Handler<Registry> h;
#ifdef CONTROL
  (void)h.call(&Registry::add_owned, std::vector<std::unique_ptr<Id>>{});
#else
  (void)h.call(&Registry::add, std::vector<Id>{});
#endif
}
