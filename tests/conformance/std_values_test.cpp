// SPDX-License-Identifier: BSL-1.0
// Values of the standard library's types, to the worker and back.
#include <array>
#include <bit>
#include <cereal/types/bitset.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/unordered_set.hpp>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "echo.hpp"

using namespace conformance;

namespace {

enum Plain { first = 1, second = 2 };
enum class Scoped : std::uint8_t { low = 0, high = 255 };

template <class T>
bool limits_survive(apalis::Handler<Echo>& h) {
  return survives(h, std::numeric_limits<T>::min()) && survives(h, std::numeric_limits<T>::max()) &&
         survives(h, std::numeric_limits<T>::lowest()) && survives(h, T{});
}

// Two owners of one object, and an observer of it.
struct Shared {
  std::shared_ptr<std::string> a, b;
  std::weak_ptr<std::string> observer;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(a, b, observer);
  }
};

}  // namespace

TEST_CASE("arithmetic values and enums cross unchanged", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(limits_survive<char>(h));
  CHECK(limits_survive<signed char>(h));
  CHECK(limits_survive<unsigned char>(h));
  CHECK(limits_survive<short>(h));
  CHECK(limits_survive<unsigned short>(h));
  CHECK(limits_survive<int>(h));
  CHECK(limits_survive<unsigned>(h));
  CHECK(limits_survive<long>(h));
  CHECK(limits_survive<unsigned long long>(h));
  CHECK(limits_survive<std::int64_t>(h));
  CHECK(limits_survive<float>(h));
  CHECK(limits_survive<double>(h));
  CHECK(limits_survive<long double>(h));
  CHECK(limits_survive<wchar_t>(h));
  CHECK(limits_survive<char32_t>(h));
  CHECK(survives(h, true));
  CHECK(survives(h, false));
  CHECK(survives(h, std::byte{0xa5}));
  CHECK(survives(h, second));
  CHECK(survives(h, Scoped::high));
}

TEST_CASE("special floating-point values keep their bits", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  for (double value :
       {-0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(),
        std::numeric_limits<double>::denorm_min()}) {
    const double back = echo(h, value);
    CHECK(std::bit_cast<std::uint64_t>(back) == std::bit_cast<std::uint64_t>(value));
  }
}

TEST_CASE("strings of any length and content cross unchanged", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  for (std::size_t n = 0; n < 600; n += (n < 70 ? 1 : 53)) {
    CAPTURE(n);
    CHECK(survives(h, std::string(n, static_cast<char>('a' + n % 26))));
  }
  CHECK(survives(h, std::string("nul\0inside", 10)));
  CHECK(survives(h, std::u16string(u"sixteen")));
  CHECK(survives(h, std::u32string(U"thirty-two")));
  CHECK(survives(h, std::wstring(L"wide")));
}

TEST_CASE("vectors of any element cross unchanged", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::vector<int>{}));
  CHECK(survives(h, std::vector<int>{1}));
  CHECK(survives(h, std::vector<double>(1001, 0.25)));
  CHECK(survives(h, std::vector<char>(77, 'c')));
  CHECK(survives(h, std::vector<std::byte>(5, std::byte{1})));
  CHECK(survives(h, std::vector<long double>{1.0L, 2.0L}));
  CHECK(survives(h, std::vector<Scoped>{Scoped::low, Scoped::high}));
  CHECK(survives(h, std::vector<bool>{true, false, true, true, false, false, true, false, true}));
  CHECK(survives(h, std::vector<std::string>{"a", "", std::string(5000, 'b')}));
  CHECK(survives(h, std::vector<std::vector<double>>{{}, {1.0}, {2.0, 3.0}}));
  CHECK(survives(h, std::vector<std::vector<std::vector<int>>>{{{1}, {2, 3}}, {}}));
  CHECK(survives(h, std::vector<std::pair<int, std::string>>{{1, "x"}, {2, "y"}}));
}

TEST_CASE("other containers cross unchanged", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::array<int, 3>{1, 2, 3}));
  CHECK(survives(h, std::array<std::string, 2>{"a", "bb"}));
  CHECK(survives(h, std::array<std::array<double, 2>, 2>{{{1, 2}, {3, 4}}}));
  CHECK(survives(h, std::deque<int>{1, 2, 3}));
  CHECK(survives(h, std::list<std::string>{"x", "y"}));
  CHECK(survives(h, std::set<int>{3, 1, 2}));
  CHECK(survives(h, std::multiset<std::string>{"a", "a", "b"}));
  CHECK(survives(h, std::map<std::string, std::vector<int>>{{"one", {1}}, {"none", {}}}));
  CHECK(survives(h, std::multimap<int, char>{{1, 'a'}, {1, 'b'}}));
  CHECK(survives(h, std::unordered_map<int, std::string>{{1, "one"}, {2, "two"}}));
}

TEST_CASE("pairs, tuples, optionals and variants cross unchanged", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::pair<int, std::string>{1, "one"}));
  CHECK(survives(h, std::tuple<int, double, std::string>{1, 2.5, "three"}));
  CHECK(survives(h, std::tuple<>{}));
  CHECK(survives(h, std::optional<int>{}));
  CHECK(survives(h, std::optional<int>{3}));
  CHECK(survives(h, std::optional<std::string>{"text"}));
  CHECK(survives(h, std::optional<std::vector<int>>{{1, 2}}));
  using Variant = std::variant<std::monostate, int, std::string, std::vector<double>>;
  CHECK(survives(h, Variant{}));
  CHECK(survives(h, Variant{5}));
  CHECK(survives(h, Variant{std::string("five")}));
  CHECK(survives(h, Variant{std::vector<double>{5.5}}));
  CHECK(survives(h, std::vector<Variant>{Variant{1}, Variant{}, Variant{std::string("s")}}));
}

TEST_CASE("times and complex numbers cross unchanged", "[values]") {
  using namespace std::chrono_literals;
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::chrono::milliseconds(1500)));
  CHECK(survives(h, std::chrono::duration<double>(0.25)));
  CHECK(survives(h, std::chrono::system_clock::now()));
  CHECK(survives(h, std::chrono::steady_clock::now()));
  CHECK(survives(h, std::complex<double>(1, -2)));
  CHECK(survives(h, std::vector<std::complex<float>>{{1, 2}, {3, 4}}));
}

TEST_CASE("further cereal types work once their header is included", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(survives(h, std::bitset<70>(0x5a5a5a)));
  CHECK(survives(h, std::queue<int>({1, 2, 3})));
}

TEST_CASE("move-only values cross both ways", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  CHECK(*echo(h, std::make_unique<int>(5)) == 5);
  CHECK(*echo(h, std::make_unique<std::string>("owned")) == "owned");
  CHECK(echo(h, std::unique_ptr<int>{}) == nullptr);
  std::vector<std::unique_ptr<int>> many;
  for (int i = 0; i < 100; ++i) many.push_back(i % 3 == 0 ? nullptr : std::make_unique<int>(i));
  const auto back = echo(h, std::move(many));
  REQUIRE(back.size() == 100);
  CHECK(back[3] == nullptr);
  CHECK(*back[4] == 4);
  const auto pair = echo(h, std::pair<int, std::unique_ptr<double>>(1, new double(2.5)));
  CHECK(*pair.second == 2.5);
  const auto optional = echo(h, std::optional<std::unique_ptr<int>>(std::make_unique<int>(6)));
  CHECK(**optional == 6);
}

TEST_CASE("shared pointers keep their identity within one message", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  auto one = std::make_shared<std::string>("one");
  const Shared back = echo(h, Shared{one, one, one});
  REQUIRE(back.a != nullptr);
  CHECK(*back.a == "one");
  CHECK(back.a == back.b);
  CHECK(back.observer.lock() == back.a);
  CHECK(back.a != one);

  const auto pointers = echo(h, std::vector<std::shared_ptr<int>>(4, std::make_shared<int>(9)));
  REQUIRE(pointers.size() == 4);
  CHECK(pointers[0] == pointers[3]);
  CHECK(*pointers[0] == 9);
  CHECK(echo(h, std::shared_ptr<int>{}) == nullptr);
}

TEST_CASE("shared pointers of one message know nothing of those of another", "[values]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto original = std::make_shared<int>(1);
  const auto a = echo(h, original);
  const auto b = echo(h, original);
  CHECK(a != b);
  *a = 2;
  CHECK(*b == 1);
  CHECK(*original == 1);
}
