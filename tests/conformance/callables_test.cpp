// SPDX-License-Identifier: BSL-1.0
// Calls by anything that is not a member function: object first, then the arguments.
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Token;
using namespace conformance;

namespace {

struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
};

int free_add(Counter& c, int x) {
  return c.add(x);
}
int free_peek(const Counter& c) noexcept {
  return c.total;
}
int free_copy(Counter c, int x) {
  return c.total + x;
}
std::string free_join(const Counter& c, const std::string& a, std::string b) {
  return a + b + std::to_string(c.total);
}
int free_overload(Counter& c, int x) {
  return c.add(x);
}
std::string free_overload(Counter&, const std::string& x) {
  return x;
}

struct Static {
  static int twice(Counter& c) { return c.total *= 2; }
};

// A named function object with a state of its own.
struct Scale {
  int factor = 1;
  std::vector<int> offsets;
  int operator()(Counter& c, int x) const {
    int sum = factor * x;
    for (int offset : offsets) sum += offset;
    return c.add(sum);
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(factor, offsets);
  }
};

// A named function object without any state.
struct Doubler {
  int operator()(Counter& c) const { return c.total *= 2; }
};

template <class T>
int templated(Counter& c, T x) {
  return c.add(static_cast<int>(x));
}

}  // namespace

TEST_CASE("a closure without captures is called with the object first", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  auto v = h.call([](Counter& c, int x, int k) { return c.add(x) * k; }, 4, 3);
  static_assert(std::is_same_v<decltype(v), Token<int>>);
  CHECK(v.get() == 12);
  CHECK(h.call([](const Counter& c) { return c.total; }).get() == 4);
  CHECK(h.call([](Counter c) { return c.total; }).get() == 4);
  CHECK(h.call([](auto& c) { return c.total + 1; }).get() == 5);
  CHECK(h.call([](Counter&) noexcept { return 1; }).get() == 1);
  static_assert(std::is_same_v<decltype(h.call([](Counter&) {})), Token<void>>);
  h.call([](Counter& c) { c.total = 9; }).get();
  CHECK(h.get(&Counter::total).get() == 9);
}

TEST_CASE("a closure with an unused capture default is one without captures", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call([=](Counter& c, int x) { return c.add(x); }, 4).get() == 4);
  CHECK(h.call([&](Counter& c, int x) { return c.add(x); }, 4).get() == 8);
}

TEST_CASE("a closure without captures may be mutable or stored in a variable", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call([](Counter& c, int x) mutable { return c.add(x); }, 4).get() == 4);
  const auto stored = [](Counter& c, const std::vector<int>& xs) {
    for (int x : xs) c.add(x);
    return c.total;
  };
  CHECK(h.call(stored, std::vector<int>{1, 2, 3}).get() == 10);
  CHECK(h.call(stored, std::vector<int>{}).get() == 10);
}

TEST_CASE("function pointers are called with the object first", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call(&free_add, 3).get() == 3);
  CHECK(h.call(free_add, 3).get() == 6);
  CHECK(h.call(&free_peek).get() == 6);
  CHECK(h.call(&free_copy, 4).get() == 10);
  CHECK(h.call(&free_join, "a", "b").get() == "ab6");
  CHECK(h.call(&Static::twice).get() == 12);
  CHECK(h.call(static_cast<int (*)(Counter&, int)>(free_overload), 1).get() == 13);
  CHECK(h.call(static_cast<std::string (*)(Counter&, const std::string&)>(free_overload), "o")
            .get() == "o");
  CHECK(h.call(&templated<double>, 2.9).get() == 15);
  int (*from_closure)(Counter&, int) = [](Counter& c, int x) { return c.add(x); };
  CHECK(h.call(from_closure, 5).get() == 20);
}

TEST_CASE("by_value sends trivially copyable captures", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  int factor = 3;
  const std::array<int, 4> table{1, 2, 3, 4};
  auto t = h.call(apalis::by_value([factor, table](Counter& c, int i) {
                    return c.add(factor * table[static_cast<std::size_t>(i)]);
                  }),
                  2);
  factor = 1000;
  CHECK(t.get() == 9);
  const auto again = apalis::by_value([factor](Counter& c) { return c.add(factor); });
  CHECK(h.call(again).get() == 1009);
  CHECK(h.call(again).get() == 2009);
}

TEST_CASE("a function object with serialize brings its state along", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  Scale scale{10, {1, 2, 3}};
  auto t = h.call(scale, 2);
  scale.factor = 0;
  scale.offsets.clear();
  CHECK(t.get() == 26);
  CHECK(h.call(Scale{1, std::vector<int>(10'000, 1)}, 4).get() == 26 + 10'004);
}

TEST_CASE("a function object without state needs no code", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend, 8);
  CHECK(h.call(Doubler{}).get() == 16);
  const Doubler named;
  CHECK(h.call(named).get() == 32);
}

TEST_CASE("generic callables receive decayed arguments", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call([](Counter& c, auto x) { return c.add(static_cast<int>(x)); }, 3L).get() == 3);
  CHECK(h.call([](Counter&, const auto& x) { return x.size(); }, std::vector<int>(5)).get() == 5);
  CHECK(h.call([](auto& c, auto... xs) { return (c.total + ... + xs); }, 1, 2, 3).get() == 9);
  const int constant = 4;
  CHECK(h.call([](Counter&, auto x) { return std::is_same_v<decltype(x), int> ? x : -1; }, constant)
            .get() == 4);
}

TEST_CASE("string literals become std::string for generic callables", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  const auto describe = [](Counter&, auto text) {
    return std::is_same_v<decltype(text), std::string> ? std::string("string ") + text
                                                       : std::string("something else");
  };
  CHECK(h.call(describe, "literal").get() == "string literal");
  CHECK(h.call(describe, "").get() == "string ");
  const char* pointer = "pointer";
  CHECK(h.call(describe, pointer).get() == "string pointer");
  CHECK(h.call([](Counter&, const auto& text) { return text.size(); }, "seven??").get() == 7);
}

TEST_CASE("a literal converts to the string parameters of any callable", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  CHECK(h.call([](Counter&, std::string s) { return s.size(); }, "four").get() == 4);
  CHECK(h.call([](Counter&, const std::string& s) { return s.size(); }, "fifth").get() == 5);
  CHECK(h.call([](Counter&, std::string_view s) { return s.size(); }, "sixsix").get() == 6);
}

TEST_CASE("a closure's const reference result arrives as a value", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend, 3);
  auto t = h.call([](const Counter& c) -> const int& { return c.total; });
  static_assert(std::is_same_v<decltype(t), Token<int>>);
  CHECK(t.get() == 3);
}

TEST_CASE("static variables of a closure belong to the worker", "[callables]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  const auto tick = [](Counter&) {
    static int ticks = 0;
    return ++ticks;
  };
  const int first = h.call(tick).get();
  CHECK(h.call(tick).get() == first + 1);
}
