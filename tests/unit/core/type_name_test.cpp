// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/core/short_name.hpp>
#include <apalis/detail/core/type_name.hpp>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail;

namespace core_names {

struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
  int twice(int x) const { return 2 * x; }
  double twice(double x) const { return 2 * x; }
};
struct Derived : Counter {};
template <class T>
struct Box {
  struct Lid {};
  T value{};
};
int free_function(int x) {
  return x;
}

constexpr std::string_view first = "one ";
constexpr std::string_view second = "two";
constexpr std::string_view nothing = "";

}  // namespace core_names

using core_names::Box;
using core_names::Counter;

TEST_CASE("type_name is the type as the source spells it", "[core]") {
  CHECK(type_name<int>() == "int");
  CHECK(type_name<double>() == "double");
  CHECK(type_name<Counter>() == "core_names::Counter");
  CHECK(type_name<Box<Counter>>() == "core_names::Box<core_names::Counter>");
  CHECK(type_name<const Counter&>().find("core_names::Counter") != std::string_view::npos);
}

TEST_CASE("value_name is the function, without the address and the cast before it", "[core]") {
  CHECK(value_name<&Counter::add>() == "core_names::Counter::add");
  CHECK(value_name<&core_names::Derived::add>().ends_with("Counter::add"));
  CHECK(value_name<static_cast<double (Counter::*)(double) const>(&Counter::twice)>().ends_with(
      "Counter::twice"));
  CHECK(value_name<&core_names::free_function>().ends_with("free_function"));
  CHECK_FALSE(value_name<&core_names::free_function>().starts_with('&'));
}

TEST_CASE("short_type_name drops the scopes around the type, not those of its arguments",
          "[core]") {
  CHECK(short_type_name<int>() == "int");
  CHECK(short_type_name<Counter>() == "Counter");
  CHECK(short_type_name<Box<Counter>>() == "Box<core_names::Counter>");
  CHECK(short_type_name<std::vector<Counter>>().starts_with("vector<"));
}

TEST_CASE("Joined is all of its parts in order", "[core]") {
  CHECK(Joined<core_names::first, core_names::second>::text == "one two");
  CHECK(Joined<core_names::nothing>::text.empty());
  CHECK(Joined<core_names::second, core_names::nothing, core_names::second>::text == "twotwo");
}
