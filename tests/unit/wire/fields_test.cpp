// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/fields.hpp>
#include <array>
#include <string>
#include <type_traits>

#include "support/catch.hpp"

namespace {

using namespace apalis::detail;
using wire::Fields;
using wire::Opaque;

struct Empty {};
struct One {
  int* only;
};
struct Arrays {
  double x[2];
  int matrix[2][3];
  std::array<int, 3> a;
};
struct Bits {
  unsigned low : 3, high : 5;
  char rest;
};
struct Nested {
  One one;
  Arrays arrays;
  char c;
};
struct Const {
  const int c;
  int n = 5;
};
struct Reference {
  int& r;
  int n;
};
class NoDefault {
 public:
  explicit NoDefault(int) {}
};
struct HoldsNoDefault {
  NoDefault n;
  char c;
};
struct Derived : One {
  int more;
};
struct Forty {
  int f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20,
      f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36, f37, f38;
  char f39;
};
struct FortyOne {
  Forty forty;
  int f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20,
      f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36, f37, f38, f39;
};

template <class T, class... F>
constexpr bool has_fields = std::is_same_v<Fields<T>, TypeList<F...>>;

static_assert(has_fields<Empty>);
static_assert(has_fields<One, int*>);
static_assert(has_fields<Arrays, double[2], int[2][3], std::array<int, 3>>);
static_assert(has_fields<Bits, unsigned, unsigned, char>);
static_assert(has_fields<Nested, One, Arrays, char>);
static_assert(has_fields<Const, const int, int>);
static_assert(has_fields<HoldsNoDefault, NoDefault, char>);
static_assert(Fields<Forty>::size == 40);

static_assert(has_fields<Derived, Opaque>);
static_assert(has_fields<Reference, Opaque>);
static_assert(has_fields<FortyOne, Opaque>);

}  // namespace

TEST_CASE("the fields of aggregates", "[fields]") {
  SUCCEED("checked by the compiler");
}
