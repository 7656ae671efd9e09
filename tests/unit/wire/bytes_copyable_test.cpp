// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/bytes_copyable.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace bytes_copyable_cases {

struct Empty {};
struct Point {
  double x, y;
};
enum class Colour : unsigned char { red, green };
enum Plain { one, two };
struct Nested {
  Point at;
  Colour colour;
  struct {
    int a;
    bool b[3];
  } inner;
};
struct Arrays {
  int cells[2][3];
  std::array<Point, 4> corners;
  char name[16];
};
struct Bits {
  unsigned low : 3, high : 5;
  int rest;
};
struct WithEmpty {
  Empty empty;
  int value;
};
struct ConstField {
  const int value;
};
struct alignas(128) Wide {
  float lane[32];
};
struct NoDefault {
  explicit NoDefault(int v) : value(v) {}
  int value;
};
struct HoldsNoDefault {
  NoDefault inner;
};
struct Forty {
  int a[40];
  char f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19;
};

struct Pointer {
  Pointer* next;
};
struct DeepPointer {
  int n;
  struct {
    Pointer inner[2];
  } deep;
};
struct ArrayOfPointers {
  int* cells[3];
};
struct StdArrayOfPointers {
  std::array<const char*, 2> names;
};
struct Reference {
  int& value;
};
struct FunctionPointer {
  void (*f)();
};
struct MemberPointer {
  int Point::*member;
};
struct Null {
  std::nullptr_t null;
};
struct HoldsView {
  int n;
  std::string_view text;
};
struct HoldsSpan {
  std::span<const int> numbers;
};
struct HoldsReference {
  std::reference_wrapper<int> value;
};
union Union {
  int a;
  int* b;
};
struct HoldsUnion {
  Union u;
};
struct Base {
  int* p;
};
struct DerivedFromPointer : Base {
  int n;
};
class Private {
 public:
  Private() = default;

 private:
  int* p_ = nullptr;
};
struct Virtual {
  virtual void f() {}
};
struct Volatile {
  int* volatile p;
};
struct Serialized {
  int value = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(value);
  }
};
struct SavedOutside {
  int value = 0;
};
template <class Archive>
void serialize(Archive& archive, SavedOutside& x) {
  archive(x.value);
}
struct MinimallySaved {
  int value = 0;
  template <class Archive>
  int save_minimal(const Archive&) const {
    return value;
  }
  template <class Archive>
  void load_minimal(const Archive&, const int& v) {
    value = v;
  }
};
struct HoldsSerialized {
  Serialized s;
};

class Price {
 public:
  explicit Price(long cents) : cents_(cents) {}
  friend bool operator==(const Price&, const Price&) = default;

 private:
  long cents_;
};
struct Order {
  Price price;
  int count;
};

}  // namespace bytes_copyable_cases

template <>
inline constexpr bool apalis::trivially_sendable<bytes_copyable_cases::Price> = true;

namespace {

using namespace bytes_copyable_cases;
using apalis::detail::wire::bytes_copyable;

static_assert(bytes_copyable<int> && bytes_copyable<bool> && bytes_copyable<char32_t> &&
              bytes_copyable<long double> && bytes_copyable<std::byte>);
static_assert(bytes_copyable<const double>);
static_assert(bytes_copyable<Colour> && bytes_copyable<Plain>);
static_assert(bytes_copyable<int[3]> && bytes_copyable<Point[2][2]>);
static_assert(bytes_copyable<Empty> && bytes_copyable<Point> && bytes_copyable<Nested>);
static_assert(bytes_copyable<Arrays> && bytes_copyable<Bits> && bytes_copyable<WithEmpty>);
static_assert(bytes_copyable<ConstField> && bytes_copyable<Wide> && bytes_copyable<Forty>);
static_assert(bytes_copyable<std::array<Point, 3>> && bytes_copyable<std::array<int, 0>>);
static_assert(bytes_copyable<std::chrono::milliseconds>);
static_assert(bytes_copyable<std::chrono::system_clock::time_point>);
static_assert(bytes_copyable<std::complex<double>>);
static_assert(bytes_copyable<Price> && bytes_copyable<Order> &&
              bytes_copyable<std::array<Price, 2>>);

// Pointers, references and views, at any depth.
static_assert(!bytes_copyable<int*> && !bytes_copyable<const char*> && !bytes_copyable<void (*)()>);
static_assert(!bytes_copyable<std::nullptr_t> && !bytes_copyable<int Point::*>);
static_assert(!bytes_copyable<int&> && !bytes_copyable<void> && !bytes_copyable<int()> &&
              !bytes_copyable<int[]>);
static_assert(!bytes_copyable<int* [2]> && !bytes_copyable<std::array<int*, 2>>);
static_assert(!bytes_copyable<Pointer> && !bytes_copyable<DeepPointer>);
static_assert(!bytes_copyable<ArrayOfPointers> && !bytes_copyable<StdArrayOfPointers>);
static_assert(!bytes_copyable<Reference> && !bytes_copyable<FunctionPointer>);
static_assert(!bytes_copyable<MemberPointer> && !bytes_copyable<Null> && !bytes_copyable<Volatile>);
static_assert(!bytes_copyable<std::string_view> && !bytes_copyable<std::span<const int>>);
static_assert(!bytes_copyable<std::span<int, 4>> && !bytes_copyable<std::reference_wrapper<int>>);
static_assert(!bytes_copyable<HoldsView> && !bytes_copyable<HoldsSpan> &&
              !bytes_copyable<HoldsReference>);
static_assert(!bytes_copyable<Union> && !bytes_copyable<HoldsUnion>);
static_assert(!bytes_copyable<std::complex<int*>>);
static_assert(!bytes_copyable<std::unique_ptr<int>>);

// What can't be looked into.
static_assert(!bytes_copyable<DerivedFromPointer> && !bytes_copyable<Private>);
static_assert(!bytes_copyable<Virtual> && !bytes_copyable<NoDefault> &&
              !bytes_copyable<HoldsNoDefault>);
static_assert(!bytes_copyable<std::atomic<int>>);

// A type's own functions win.
static_assert(!bytes_copyable<Serialized> && !bytes_copyable<SavedOutside> &&
              !bytes_copyable<MinimallySaved> && !bytes_copyable<HoldsSerialized>);
static_assert(!bytes_copyable<std::optional<int>> && !bytes_copyable<std::variant<int, char>>);
static_assert(!bytes_copyable<std::pair<int, int>>);
static_assert(!bytes_copyable<std::string> && !bytes_copyable<std::vector<int>>);

// Closures: nothing captured is nothing sent; what is captured can't be seen.
constexpr auto stateless = [](int x) { return x; };
constexpr auto capturing = [n = 3](int x) { return x + n; };
static_assert(bytes_copyable<decltype(stateless)> && !bytes_copyable<decltype(capturing)>);

}  // namespace

TEST_CASE("which types cross as their bytes", "[bytes_copyable]") {
  SUCCEED("checked by the compiler");
}
