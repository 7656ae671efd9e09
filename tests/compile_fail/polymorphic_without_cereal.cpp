// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a pointer to a polymorphic class crosses by cereal's functions
// EXPECT: include <cereal/types/polymorphic.hpp>
#include <apalis/apalis.hpp>
#include <memory>
#include <utility>
#include <vector>
#ifdef CONTROL
#  include <cereal/types/polymorphic.hpp>
#endif

struct Shape {
  Shape() = default;
  Shape(const Shape&) = default;
  Shape& operator=(const Shape&) = default;
  virtual ~Shape() = default;
  virtual double area() const { return 0; }
  template <class Archive>
  void serialize(Archive&) {}
};
struct Drawing {
  std::vector<std::unique_ptr<Shape>> shapes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(shapes);
  }
};
struct Scale {
  double weigh(const Drawing& drawing) { return drawing.shapes.front()->area(); }
};

int main() {
  apalis::Handler<Scale> h;
  Drawing drawing;
  drawing.shapes.push_back(std::make_unique<Shape>());
  (void)h.call(&Scale::weigh, std::move(drawing));
}
