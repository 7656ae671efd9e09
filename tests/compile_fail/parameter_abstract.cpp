// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: an abstract class can't cross by value
#include <apalis/apalis.hpp>
#include <cereal/types/polymorphic.hpp>
#include <memory>

struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive&) {}
};
struct Disc : Shape {
  double area() const override { return 3; }
};
struct Scale {
  double by_reference(const Shape& shape) { return shape.area(); }
  double by_pointer(const std::shared_ptr<Shape>& shape) { return shape->area(); }
};

int main() {
  apalis::Handler<Scale> h;
#ifdef CONTROL
  (void)h.call(&Scale::by_pointer, std::make_shared<Disc>());
#else
  (void)h.call(&Scale::by_reference, Disc{});
#endif
}
