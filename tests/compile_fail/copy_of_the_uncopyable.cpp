// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: copy() needs the handler's class to be copy constructible
#include <apalis/apalis.hpp>
#include <memory>

struct Model {
  int size = 0;
  std::unique_ptr<int> data;
#ifdef CONTROL
  Model() = default;
  Model(const Model& other) : size(other.size) {}
#endif
  template <class Archive>
  void serialize(Archive& archive) {
    archive(size, data);
  }
};

int main() {
  apalis::Handler<Model> h;
  (void)h.copy();
}
