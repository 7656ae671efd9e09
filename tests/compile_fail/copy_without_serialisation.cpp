// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: copy() sends the object back
#include <apalis/apalis.hpp>
#include <string>

struct Model {
  std::string name;
#ifdef CONTROL
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name);
  }
#endif
};

int main() {
  apalis::Handler<Model> h;
  (void)h.copy();
}
