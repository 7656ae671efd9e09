// SPDX-License-Identifier: BSL-1.0
// Values of the user's own types: aggregates without code, and everything that cereal offers.
#include <array>
#include <cereal/types/base_class.hpp>
#include <cereal/types/polymorphic.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "echo.hpp"

using namespace conformance;

namespace user_values {

// --- aggregates without any code -------------------------------------------------------------

struct Empty {
  friend bool operator==(const Empty&, const Empty&) = default;
};
struct Point {
  double x = 0, y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
enum class Colour : char { red = 'r', green = 'g' };
struct Pixel {
  Point at;
  Colour colour = Colour::red;
  bool set = false;
  friend bool operator==(const Pixel&, const Pixel&) = default;
};
struct Grid {
  int cells[3][2] = {{1, 2}, {3, 4}, {5, 6}};
  char label[8] = "grid";
  std::array<Point, 2> corners{};
  friend bool operator==(const Grid&, const Grid&) = default;
};
struct One {
  std::uint8_t value = 0;
  friend bool operator==(const One&, const One&) = default;
};
struct Wide {
  int a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10;
  double k = 11, l = 12, m = 13, n = 14, o = 15, p = 16, q = 17, r = 18, s = 19, t = 20;
  friend bool operator==(const Wide&, const Wide&) = default;
};
struct WithEmpty {
  Empty empty;
  int value = 0;
  friend bool operator==(const WithEmpty&, const WithEmpty&) = default;
};
struct alignas(64) Aligned {
  float lane[16] = {};
  friend bool operator==(const Aligned&, const Aligned&) = default;
};

// Not an aggregate, but its author says that its bytes are all of it.
class Money {
 public:
  Money() = default;
  explicit Money(long cents) : cents_(cents) {}
  friend bool operator==(const Money&, const Money&) = default;

 private:
  long cents_ = 0;
};

// --- cereal's ways -------------------------------------------------------------------------------

class Private {
 public:
  Private() = default;
  Private(int a, std::string b) : a_(a), b_(std::move(b)) {}
  friend bool operator==(const Private&, const Private&) = default;

 private:
  friend class cereal::access;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(a_, b_);
  }
  int a_ = 0;
  std::string b_;
};

struct SaveLoad {
  std::vector<int> values;
  int sum = 0;  // derived from values: computed by load
  template <class Archive>
  void save(Archive& archive) const {
    archive(values);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(values);
    sum = 0;
    for (int v : values) sum += v;
  }
};

struct External {
  int value = 0;
  std::string text;
  friend bool operator==(const External&, const External&) = default;
};
template <class Archive>
void serialize(Archive& archive, External& x) {
  archive(x.value, x.text);
}

struct Minimal {
  int value = 0;
  template <class Archive>
  int save_minimal(const Archive&) const {
    return value;
  }
  template <class Archive>
  void load_minimal(const Archive&, const int& v) {
    value = v;
  }
  friend bool operator==(const Minimal&, const Minimal&) = default;
};

struct Versioned {
  int a = 0;
  std::string b;
  std::uint32_t seen = 0;
  template <class Archive>
  void serialize(Archive& archive, std::uint32_t version) {
    archive(a);
    if (version >= 2) archive(b);
    seen = version;
  }
};

// Without a default constructor.
class Temperature {
 public:
  explicit Temperature(double kelvin) : kelvin_(kelvin) {}
  double kelvin() const { return kelvin_; }
  friend bool operator==(const Temperature&, const Temperature&) = default;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(kelvin_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Temperature>& construct) {
    double kelvin = 0;
    archive(kelvin);
    construct(kelvin);
  }

 private:
  double kelvin_;
};

struct Tree {
  int value = 0;
  std::vector<Tree> children;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(value, children);
  }
  friend bool operator==(const Tree&, const Tree&) = default;
};

// An aggregate of bytes whose author wrote functions all the same: they win.
struct Own {
  int kept = 0;
  int lost = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kept);
  }
};

// --- a polymorphic family ------------------------------------------------------------------------

struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
  std::string label;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(label);
  }
};
struct Square final : Shape {
  double side = 0;
  Square() = default;
  explicit Square(double s) : side(s) { label = "square"; }
  double area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Shape>(this), side);
  }
};
struct Rectangle final : Shape {
  double width = 0, height = 0;
  Rectangle() = default;
  Rectangle(double w, double h) : width(w), height(h) { label = "rectangle"; }
  double area() const override { return width * height; }
  template <class Archive>
  void serialize(Archive& archive, std::uint32_t /*version*/) {
    archive(cereal::base_class<Shape>(this), width, height);
  }
};

struct Drawing {
  std::vector<std::shared_ptr<Shape>> shapes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(shapes);
  }
};

}  // namespace user_values

template <>
inline constexpr bool apalis::trivially_sendable<user_values::Money> = true;

CEREAL_CLASS_VERSION(user_values::Versioned, 2)
CEREAL_CLASS_VERSION(user_values::Rectangle, 1)
CEREAL_REGISTER_TYPE(user_values::Square)
CEREAL_REGISTER_TYPE(user_values::Rectangle)

using namespace user_values;

TEST_CASE("plain aggregates cross without any code", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, Empty{}));
  CHECK(survives(h, Point{1.5, -2.5}));
  CHECK(survives(h, Pixel{{1, 2}, Colour::green, true}));
  CHECK(survives(h, One{200}));
  CHECK(survives(h, Wide{}));
  CHECK(survives(h, WithEmpty{{}, 3}));
}

TEST_CASE("aggregates with arrays cross without any code", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  Grid grid;
  grid.cells[2][1] = 60;
  grid.corners[1] = {7, 8};
  CHECK(survives(h, grid));
  CHECK(survives(h, std::vector<Grid>(3, grid)));
  Aligned aligned;
  aligned.lane[15] = 4;
  CHECK(survives(h, aligned));
  CHECK(survives(h, std::vector<Aligned>(5, aligned)));
}

TEST_CASE("containers of plain aggregates need no code either", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::vector<Point>{{1, 2}, {3, 4}}));
  CHECK(survives(h, std::vector<std::vector<Pixel>>{{}, {Pixel{{1, 2}, Colour::green, true}}}));
  CHECK(survives(h, std::optional<Point>{Point{1, 2}}));
  CHECK(survives(h, std::map<int, Point>{{1, {1, 2}}, {2, {3, 4}}}));
  CHECK(survives(h, std::variant<int, Point>{Point{5, 6}}));
  CHECK(survives(h, std::array<Point, 2>{Point{1, 2}, Point{3, 4}}));
  CHECK(survives(h, std::pair<Point, std::string>{{1, 2}, "p"}));
  CHECK(survives(h, std::vector<Empty>(3)));
  CHECK(*echo(h, std::make_unique<Point>(Point{7, 8})) == Point{7, 8});
  CHECK(*echo(h, std::make_shared<Grid>()) == Grid{});
}

TEST_CASE("a trivial type opts in by trivially_sendable", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, Money{12345}));
  CHECK(survives(h, std::vector<Money>{Money{1}, Money{2}}));
  CHECK(survives(h, std::map<std::string, Money>{{"a", Money{3}}}));
}

TEST_CASE("types with cereal functions of every kind cross", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, Private{1, "private"}));
  CHECK(survives(h, External{2, "external"}));
  CHECK(survives(h, Minimal{3}));
  const SaveLoad back = echo(h, SaveLoad{{1, 2, 3}, 0});
  CHECK(back.values == std::vector<int>{1, 2, 3});
  CHECK(back.sum == 6);
  CHECK(survives(h, std::vector<Private>{{1, "a"}, {2, "b"}}));
  CHECK(survives(h, std::map<std::string, External>{{"k", {1, "v"}}}));
  CHECK(survives(h, Tree{1, {Tree{2, {Tree{3, {}}}}, Tree{4, {}}}}));
}

TEST_CASE("versioned types see the version they were saved with", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const Versioned back = echo(h, Versioned{1, "two", 0});
  CHECK(back.a == 1);
  CHECK(back.b == "two");
  CHECK(back.seen == 2);
  const auto many = echo(h, std::vector<Versioned>(3, Versioned{4, "five", 0}));
  REQUIRE(many.size() == 3);
  CHECK(many[2].b == "five");
  CHECK(many[2].seen == 2);
}

TEST_CASE("types without a default constructor cross by load_and_construct", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, Temperature{273.15}));
  CHECK(echo(h, std::make_unique<Temperature>(1.0))->kelvin() == 1.0);
  CHECK(echo(h, std::make_shared<Temperature>(2.0))->kelvin() == 2.0);
}

TEST_CASE("a user's own functions win over copying bytes", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const Own back = echo(h, Own{1, 2});
  CHECK(back.kept == 1);
  CHECK(back.lost == 0);
  const auto many = echo(h, std::vector<Own>(2, Own{3, 4}));
  REQUIRE(many.size() == 2);
  CHECK(many[1].kept == 3);
  CHECK(many[1].lost == 0);
}

TEST_CASE("polymorphic objects arrive as what they are", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto square = echo<std::unique_ptr<Shape>>(h, std::make_unique<Square>(3));
  REQUIRE(square != nullptr);
  CHECK(square->area() == 9);
  CHECK(square->label == "square");
  CHECK(dynamic_cast<Square*>(square.get()) != nullptr);
  const auto rectangle = echo<std::shared_ptr<Shape>>(h, std::make_shared<Rectangle>(2, 5));
  REQUIRE(rectangle != nullptr);
  CHECK(rectangle->area() == 10);
  CHECK(echo<std::unique_ptr<Shape>>(h, nullptr) == nullptr);
}

TEST_CASE("polymorphic objects keep their shared identity", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  auto square = std::make_shared<Square>(2);
  Drawing drawing;
  drawing.shapes = {square, std::make_shared<Rectangle>(1, 2), square};
  const Drawing back = echo(h, drawing);
  REQUIRE(back.shapes.size() == 3);
  CHECK(back.shapes[0] == back.shapes[2]);
  CHECK(back.shapes[0]->area() == 4);
  CHECK(back.shapes[1]->area() == 2);
  CHECK(h.call(
             [](Echo&, const Drawing& d) {
               double sum = 0;
               for (const auto& s : d.shapes) sum += s->area();
               return sum;
             },
             drawing)
            .get() == 10);
}
