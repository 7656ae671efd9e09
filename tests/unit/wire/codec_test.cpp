// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/codec.hpp>
#include <array>
#include <bitset>
#include <cereal/types/base_class.hpp>
#include <cereal/types/polymorphic.hpp>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "round_trip.hpp"
#include "support/catch.hpp"

namespace codec_cases {

struct Empty {
  friend bool operator==(const Empty&, const Empty&) = default;
};
enum class Colour : std::uint16_t { red = 7, green = 60000 };
struct Grid {
  int cells[2][3] = {{1, 2, 3}, {4, 5, 6}};
  std::array<double, 2> corner{0.5, -1.5};
  Empty empty;
  Colour colour = Colour::green;
  struct Inner {
    bool set = true;
    char name[4] = "abc";
    friend bool operator==(const Inner&, const Inner&) = default;
  } inner;
  friend bool operator==(const Grid&, const Grid&) = default;
};
struct alignas(64) Line {
  float lane[16] = {1, 2, 3};
  friend bool operator==(const Line&, const Line&) = default;
};
struct alignas(256) Wider {
  int n = 0;
  friend bool operator==(const Wider&, const Wider&) = default;
};
struct Fixed {
  const int n;
  friend bool operator==(const Fixed&, const Fixed&) = default;
};

class Price {
 public:
  explicit Price(long cents) : cents_(cents) {}
  friend bool operator==(const Price&, const Price&) = default;

 private:
  long cents_;
};

// Would cross as its bytes, but its own function says otherwise.
struct OwnWay {
  int kept = 0;
  int dropped = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kept);
  }
};

struct Versioned {
  int n = 0;
  std::uint32_t seen = 0;
  template <class Archive>
  void serialize(Archive& archive, std::uint32_t version) {
    archive(n);
    seen = version;
  }
};

class Constructed {
 public:
  explicit Constructed(std::string text) : text_(std::move(text)) {}
  const std::string& text() const { return text_; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
    std::string text;
    archive(text);
    construct(text);
  }

 private:
  std::string text_;
};

struct Shape {
  Shape() = default;
  Shape(const Shape&) = default;
  Shape& operator=(const Shape&) = default;
  virtual ~Shape() = default;
  virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive&) {}
};
struct Square : Shape {
  double side = 0;
  double area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Shape>(this), side);
  }
};
struct Unregistered : Shape {
  double area() const override { return 0; }
};

struct Link {
  int n = 0;
  std::shared_ptr<Link> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n, next);
  }
};

// Saves nothing: its elements take no bytes of their own.
struct Silent {
  template <class Archive>
  void serialize(Archive&) {}
};

struct Throwing {
  int n = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(n);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(n);
    if (n < 0) throw std::domain_error("negative");
  }
};

// Someone else's type, whose functions a user put where cereal finds its own.
struct Foreign {
  int kept = 0;
  int dropped = 0;
};

}  // namespace codec_cases

namespace cereal {
template <class Archive>
void serialize(Archive& archive, codec_cases::Foreign& foreign) {
  archive(foreign.kept);
}
}  // namespace cereal

CEREAL_REGISTER_TYPE(codec_cases::Square)
CEREAL_CLASS_VERSION(codec_cases::Versioned, 3)
template <>
inline constexpr bool apalis::trivially_sendable<codec_cases::Price> = true;

using namespace codec_cases;
using namespace apalis::detail::wire;
using apalis::test::encoded_size;
using apalis::test::round_trip;

namespace {

template <class T>
bool comes_back(const T& value) {
  return round_trip(value) == value && round_trip(value, 13) == value;
}

}  // namespace

TEST_CASE("numbers, enums and bools cross as their bytes", "[codec]") {
  CHECK(comes_back(0));
  CHECK(comes_back(std::numeric_limits<std::int64_t>::min()));
  CHECK(comes_back(std::numeric_limits<std::uint64_t>::max()));
  CHECK(comes_back(-0.1));
  CHECK(comes_back(1e300L));
  CHECK(comes_back('x'));
  CHECK(comes_back(true));
  CHECK(comes_back(false));
  CHECK(comes_back(Colour::green));
  CHECK(comes_back(std::byte{200}));
  CHECK(comes_back(std::complex<double>(1, -2)));
  CHECK(comes_back(std::chrono::nanoseconds(123456789)));
  CHECK(encoded_size(7) == sizeof(int));
  CHECK(encoded_size(true) == 1);
}

TEST_CASE("aggregates cross as their bytes", "[codec]") {
  CHECK(comes_back(Grid{}));
  CHECK(comes_back(Empty{}));
  CHECK(comes_back(Line{}));
  CHECK(comes_back(Wider{42}));
  CHECK(comes_back(Fixed{5}));
  CHECK(comes_back(Price(199)));
  CHECK(comes_back(std::array<Grid, 3>{}));
  CHECK(encoded_size(Grid{}) == sizeof(Grid));
}

TEST_CASE("any other byte than 0 is true", "[codec]") {
  const auto byte = static_cast<std::byte>(GENERATE(1, 2, 128, 255));
  Reader reader({&byte, 1});
  const auto value = decode<bool>(reader);
  CHECK(static_cast<int>(value) == 1);
}

TEST_CASE("strings", "[codec]") {
  CHECK(comes_back(std::string()));
  CHECK(comes_back(std::string("a\0b", 3)));
  CHECK(comes_back(std::string(254, 'x')));
  CHECK(comes_back(std::string(255, 'x')));
  CHECK(comes_back(std::string(1'000'000, 'x')));
  CHECK(comes_back(std::u32string(U"ünï")));
  CHECK(comes_back(std::wstring(300, L'w')));
  CHECK(encoded_size(std::string(32, 'x')) == 33);
}

TEST_CASE("containers", "[codec]") {
  CHECK(comes_back(std::vector<int>{}));
  CHECK(comes_back(std::vector<double>(1000, 0.5)));
  CHECK(comes_back(std::vector<bool>{true, false, true}));
  CHECK(comes_back(std::vector<std::string>{"a", "", std::string(500, 'b')}));
  CHECK(comes_back(std::vector<std::vector<Grid>>{{}, {Grid{}, Grid{}}}));
  CHECK(comes_back(std::vector<Line>(3)));
  CHECK(comes_back(std::vector<Wider>{{1}, {2}, {3}}));
  CHECK(comes_back(std::vector<Empty>(5)));
  CHECK(comes_back(std::vector<Colour>{Colour::red, Colour::green}));
  CHECK(comes_back(std::deque<int>{1, 2, 3}));
  CHECK(comes_back(std::list<std::string>{"a", "b"}));
  CHECK(comes_back(std::forward_list<int>{1, 2, 3}));
  CHECK(comes_back(std::set<std::string>{"a", "b"}));
  CHECK(comes_back(std::multiset<int>{1, 1, 2}));
  CHECK(comes_back(std::unordered_set<int>{1, 2, 3}));
  CHECK(comes_back(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}));
  // Equal keys change their order: cereal inserts each before the one before.
  CHECK(comes_back(std::multimap<int, int>{{1, 1}, {1, 1}, {2, 3}}));
  CHECK(comes_back(std::unordered_map<int, std::map<int, std::string>>{{1, {{2, "x"}}}}));
  CHECK(comes_back(std::array<std::string, 2>{"a", "b"}));
  CHECK(comes_back(std::bitset<100>("101")));
  CHECK(comes_back(std::queue<int>({1, 2})));
  CHECK(comes_back(std::stack<int>({1, 2})));
  std::priority_queue<int> queue;
  queue.push(3);
  queue.push(9);
  CHECK(round_trip(queue).top() == 9);
}

TEST_CASE("optional, variant, pair, tuple", "[codec]") {
  CHECK(comes_back(std::optional<std::string>()));
  CHECK(comes_back(std::optional<std::string>("x")));
  CHECK(comes_back(std::optional<std::optional<int>>(std::in_place)));
  CHECK(comes_back(std::variant<int, std::string, Grid>("x")));
  CHECK(comes_back(std::variant<std::monostate, int>()));
  CHECK(comes_back(std::pair<std::string, Grid>("x", {})));
  CHECK(comes_back(std::tuple<>()));
  CHECK(comes_back(std::tuple<int, std::string, std::vector<Empty>>(1, "x", {Empty{}})));
}

TEST_CASE("unique_ptr and shared_ptr", "[codec]") {
  CHECK(round_trip(std::unique_ptr<int>()) == nullptr);
  CHECK(*round_trip(std::make_unique<std::string>("x")) == "x");
  CHECK(round_trip(std::make_unique<Constructed>("made"))->text() == "made");

  const auto one = std::make_shared<int>(5);
  const auto shared = round_trip(std::vector{one, one, std::make_shared<int>(5), {}});
  CHECK(*shared[0] == 5);
  CHECK(shared[0] == shared[1]);
  CHECK(shared[0] != shared[2]);
  CHECK(shared[3] == nullptr);
  CHECK(shared[0] != one);

  const auto [strong, weak] =
      round_trip(std::pair<std::shared_ptr<int>, std::weak_ptr<int>>(one, one));
  CHECK(weak.lock() == strong);

  SECTION("a cycle") {
    auto first = std::make_shared<Link>();
    first->n = 1;
    first->next = std::make_shared<Link>();
    first->next->n = 2;
    first->next->next = first;
    const auto copy = round_trip(first);
    CHECK(copy->next->n == 2);
    CHECK(copy->next->next == copy);
    first->next->next.reset();
    copy->next->next.reset();
  }
}

TEST_CASE("classes derived from a base cross behind a pointer to it", "[codec]") {
  auto square = std::make_shared<Square>();
  square->side = 3;
  CHECK(round_trip(std::shared_ptr<Shape>(square))->area() == 9);
  auto unique = std::make_unique<Square>();
  unique->side = 2;
  CHECK(round_trip(std::unique_ptr<Shape>(std::move(unique)))->area() == 4);

  Buffer buffer;
  CHECK_THROWS_WITH(encode(buffer, std::shared_ptr<Shape>(std::make_shared<Unregistered>())),
                    Catch::Matchers::ContainsSubstring("CEREAL_REGISTER_TYPE"));
}

TEST_CASE("a type's own functions decide", "[codec]") {
  const auto copy = round_trip(OwnWay{1, 2});
  CHECK(copy.kept == 1);
  CHECK(copy.dropped == 0);
  CHECK(round_trip(std::vector<OwnWay>{{1, 2}}).at(0).dropped == 0);

  CHECK(round_trip(Versioned{4}).n == 4);
  CHECK(round_trip(Versioned{4}).seen == 3);
  const auto versions = round_trip(std::vector<Versioned>{{1}, {2}});
  CHECK(versions.at(1).n == 2);
  CHECK(versions.at(1).seen == 3);

  CHECK(round_trip(Constructed("made")).text() == "made");
  CHECK(round_trip(Constructed(std::string(300, 'm'))).text() == std::string(300, 'm'));
}

TEST_CASE("what crosses as its bytes crosses inside of what does not", "[codec]") {
  using namespace std::chrono_literals;
  const auto survives = [](const auto& value) { return round_trip(value) == value; };
  CHECK(survives(std::map<int, std::array<double, 3>>{{1, {1, 2, 3}}}));
  CHECK(survives(std::deque<std::array<double, 3>>{{1, 2, 3}}));
  CHECK(survives(std::tuple<std::string, std::chrono::milliseconds>{"x", 5ms}));
  CHECK(survives(std::pair<std::string, std::chrono::steady_clock::time_point>{
      "x", std::chrono::steady_clock::now()}));
  CHECK(survives(std::variant<std::monostate, std::string>{}));
  CHECK(survives(std::map<int, std::complex<double>>{{1, {1, 2}}}));
  CHECK(survives(std::list<Grid>{Grid{}}));
}

TEST_CASE("functions in cereal's namespace decide too", "[codec]") {
  STATIC_REQUIRE_FALSE(bytes_copyable<Foreign>);
  const auto copy = round_trip(std::vector<Foreign>{{1, 2}});
  CHECK(copy.at(0).kept == 1);
  CHECK(copy.at(0).dropped == 0);
}

TEST_CASE("elements that save nothing are counted all the same", "[codec]") {
  CHECK(round_trip(std::vector<Silent>(300)).size() == 300);
  CHECK(round_trip(std::map<int, Silent>{{1, {}}, {2, {}}}).size() == 2);
  CHECK(round_trip(std::pair<std::vector<Silent>, int>(std::vector<Silent>(9), 7)).second == 7);
}

TEST_CASE("what a type's load throws arrives as it is", "[codec]") {
  Buffer buffer;
  encode(buffer, Throwing{-1});
  Reader reader(buffer.bytes());
  CHECK_THROWS_AS(decode<Throwing>(reader), std::domain_error);
}

TEST_CASE("values follow each other without a gap", "[codec]") {
  Buffer buffer;
  encode(buffer, std::string("first"));
  encode(buffer, 2);
  encode(buffer, std::vector<double>{3, 4});
  encode(buffer, std::map<int, int>{{5, 6}});
  encode(buffer, Constructed("seven"));
  encode(buffer, true);
  Reader reader(buffer.bytes());
  CHECK(decode<std::string>(reader) == "first");
  CHECK(decode<int>(reader) == 2);
  CHECK(decode<std::vector<double>>(reader) == std::vector<double>{3, 4});
  CHECK(decode<std::map<int, int>>(reader) == std::map<int, int>{{5, 6}});
  CHECK(decode<Constructed>(reader).text() == "seven");
  CHECK(decode<bool>(reader));
  CHECK(reader.remaining() == 0);
}

namespace {

template <std::size_t alignment>
struct alignas(alignment) Element {
  char c = 'e';
};

template <class T>
void check_borrowed() {
  for (std::size_t before = 0; before < 130; before += 7) {
    const std::vector<T> elements(5);
    Buffer buffer;
    buffer.append(std::string(before, '-').data(), before);
    encode(buffer, std::span<const T>(elements));
    Reader reader(buffer.bytes());
    (void)reader.take(before);
    const auto borrowed = decode<std::span<const T>>(reader);
    REQUIRE(borrowed.size() == 5);
    REQUIRE(reinterpret_cast<std::uintptr_t>(borrowed.data()) % alignof(T) == 0);
    const auto* in = reinterpret_cast<const std::byte*>(borrowed.data());
    REQUIRE((in > buffer.data() && in < buffer.data() + buffer.size()));
    REQUIRE(reader.remaining() == 0);
  }
}

}  // namespace

TEST_CASE("spans borrow from the message, aligned", "[codec]") {
  check_borrowed<Element<1>>();
  check_borrowed<Element<2>>();
  check_borrowed<Element<4>>();
  check_borrowed<Element<8>>();
  check_borrowed<Element<16>>();
  check_borrowed<Element<32>>();
  check_borrowed<Element<64>>();
  check_borrowed<double>();
  static_assert(!borrowed<std::span<const Element<128>>>);
  static_assert(!borrowed<std::span<int>> && !borrowed<std::span<const std::string>>);
  static_assert(encoded_alignment<std::span<const double>>() == alignof(double));
  static_assert(encoded_alignment<std::vector<Line>>() == 64);
  static_assert(encoded_alignment<std::vector<Wider>>() == 1);
  static_assert(encoded_alignment<std::string>() == 1);
}

TEST_CASE("empty and fixed spans, and string views, borrow too", "[codec]") {
  Buffer buffer;
  encode(buffer, std::span<const double>());
  const int numbers[] = {1, 2, 3};
  encode(buffer, std::span<const int, 3>(numbers));
  encode(buffer, std::string_view("text"));
  encode(buffer, std::string_view());
  encode(buffer, std::u32string_view(U"wide"));
  Reader reader(buffer.bytes());
  CHECK(decode<std::span<const double>>(reader).empty());
  CHECK(decode<std::span<const int, 3>>(reader)[2] == 3);
  const auto text = decode<std::string_view>(reader);
  CHECK(text == "text");
  CHECK(reinterpret_cast<const std::byte*>(text.data()) > buffer.data());
  CHECK(decode<std::string_view>(reader).empty());
  CHECK(decode<std::u32string_view>(reader) == U"wide");
  CHECK(reader.remaining() == 0);

  Reader again(buffer.bytes());
  (void)decode<std::span<const double>>(again);
  CHECK_THROWS_AS((decode<std::span<const int, 4>>(again)), Malformed);
}
