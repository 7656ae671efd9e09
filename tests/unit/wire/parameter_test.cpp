// SPDX-License-Identifier: BSL-1.0
// Arguments that cross by a name, and parameters that are made of them in the worker.
#include <apalis/detail/wire/map.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using apalis::detail::TypeList;

namespace {

/// Refers to a text by its number.
struct Label {
  int number = 0;
};
std::map<int, std::string> texts{{1, "one"}, {2, "two"}};

}  // namespace

namespace apalis::detail::wire {

template <>
struct ByName<Label> {
  static constexpr bool value = true;
  static void encode(Buffer& buffer, const Label& label) {
    wire::encode(buffer, label.number + 100);
  }
  static Label decode(Reader& reader) { return {wire::decode<int>(reader) - 100}; }
};

template <>
struct Carrier<Label, std::string> {
  static constexpr bool value = true;
  using Named = Label;
  static std::string& parameter(Label& label) { return texts.at(label.number); }
};

}  // namespace apalis::detail::wire

namespace {

struct Object {
  std::string read(const std::string& text) { return text; }
  std::string copy(std::string text) { return text += "!"; }
  int number(Label label) { return label.number; }
  std::string two(const std::string& a, int k, const std::string& b) {
    return a + std::to_string(k) + b;
  }
};

template <class R, class F, class... Arguments>
R call(F f, const Arguments&... arguments) {
  Buffer message;
  encode_call<Object>(message, f, arguments...);
  Reader reader{message.bytes()};
  Object object;
  Buffer result;
  read_entry(reader)->invoke(&object, reader, result);
  Reader reply{result.bytes()};
  return decode<R>(reply);
}

}  // namespace

TEST_CASE("a parameter is made of what crossed in its place", "[parameter]") {
  CHECK(call<std::string>(&Object::read, Label{2}) == "two");
  CHECK(call<std::string>(&Object::copy, Label{1}) == "one!");
  CHECK(texts.at(1) == "one");
  CHECK(call<int>(&Object::number, Label{7}) == 7);
  CHECK(call<std::string>(&Object::two, Label{1}, 5, Label{2}) == "one5two");
  CHECK(call<std::string>(&Object::two, "x", 5, Label{2}) == "x5two");
  CHECK(call<std::string>(&Object::read, "text") == "text");
  CHECK(call<std::string>([](Object&, const std::string& s) { return s; }, Label{2}) == "two");
  CHECK(call<int>([](Object&, auto label) { return label.number; }, Label{3}) == 3);
}

TEST_CASE("only what a Carrier knows crosses in another's place", "[parameter]") {
  using Changing = CrossingFor<std::string&, Label>;
  static_assert(std::is_same_v<Changing::type, std::string&>);
  static_assert(std::is_same_v<CrossingFor<std::vector<int>, Label>::type, std::vector<int>>);
  static_assert(std::is_same_v<CrossingFor<const std::string&, const Label&>::type,
                               MadeOf<const std::string&, Label>>);
  static_assert(
      std::is_same_v<Crossing<TypeList<std::string>, TypeList<>>::type, TypeList<std::string>>);
  SUCCEED();
}
