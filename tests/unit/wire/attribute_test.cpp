// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/attribute.hpp>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using Catch::Matchers::ContainsSubstring;

namespace attribute_cases {

struct Padding {
  long padding[3] = {};
};
struct Base {
  double inherited = 0.5;
};
struct Subject : Padding, Base {
  int number = 1;
  const int constant = 7;
  bool flag = false;
  std::string text = "text";
  std::vector<double> numbers{1, 2};
  std::unique_ptr<int> owned = std::make_unique<int>(3);
  std::map<std::string, int> map{{"k", 1}};
};
struct Model {
  int a = 1;
  std::string b = "b";
  int add(int x) { return a += x; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(a, b);
  }
};

}  // namespace attribute_cases

using namespace attribute_cases;

namespace {

void run(Buffer& message, void* object, Buffer& result) {
  Reader reader(message.bytes());
  read_entry(reader)->invoke(object, reader, result);
  REQUIRE(reader.remaining() == 0);
}

template <class A, class Member>
auto got(A& object, Member member) {
  Buffer message;
  Buffer result;
  encode_get<A>(message, member);
  run(message, &object, result);
  Reader reader(result.bytes());
  auto value = decode<get_result_t<A, Member>>(reader);
  REQUIRE(reader.remaining() == 0);
  return value;
}

template <class A, class M, class B>
void put(A& object, M B::*member, const std::type_identity_t<M>& value) {
  Buffer message;
  Buffer result;
  encode_set<A>(message, member, value);
  run(message, &object, result);
  REQUIRE(result.size() == 0);
}

template <class A>
A decoded(Buffer& message, A& object) {
  Buffer result;
  run(message, &object, result);
  Reader reader(result.bytes());
  A copy = decode<A>(reader);
  REQUIRE(reader.remaining() == 0);
  return copy;
}

}  // namespace

TEST_CASE("get replies with the member", "[attribute]") {
  Subject s;
  CHECK(got(s, &Subject::number) == 1);
  CHECK(got(s, &Subject::constant) == 7);
  CHECK(got(s, &Subject::text) == "text");
  CHECK(got(s, &Subject::numbers) == std::vector<double>{1, 2});
  CHECK(*got(s, &Subject::owned) == 3);
  CHECK(got(s, &Subject::inherited) == 0.5);
  static_assert(std::is_same_v<get_result_t<Subject, const int Subject::*>, int>);
}

TEST_CASE("set assigns the member", "[attribute]") {
  Subject s;
  put(s, &Subject::number, 5);
  put(s, &Subject::flag, true);
  put(s, &Subject::text, "new");
  put(s, &Subject::numbers, {4, 5, 6});
  put(s, &Subject::owned, std::make_unique<int>(9));
  put(s, &Subject::inherited, 2);
  put(s, &Subject::map, {{"x", 2}});
  CHECK(s.number == 5);
  CHECK(s.flag);
  CHECK(s.text == "new");
  CHECK(s.numbers == std::vector<double>{4, 5, 6});
  CHECK(*s.owned == 9);
  CHECK(s.inherited == 2);
  CHECK(s.map.at("x") == 2);
  CHECK(s.map.size() == 1);
}

TEST_CASE("copy replies with the object, copy(edit) with an edited one", "[attribute]") {
  Model model{5, "five"};
  Buffer message;
  encode_copy<Model>(message);
  CHECK(decoded(message, model).b == "five");

  Buffer edited;
  encode_copy<Model>(edited, &Model::add, 10);
  CHECK(decoded(edited, model).a == 15);
  CHECK(model.a == 5);

  Buffer closure;
  encode_copy<Model>(
      closure, [](Model& m, const std::string& b) { m.b += b; }, "!");
  CHECK(decoded(closure, model).b == "five!");
  CHECK(model.b == "five");
}

TEST_CASE("a null member is refused, and a truncated message malformed", "[attribute]") {
  Buffer message;
  int Subject::*null = nullptr;
  CHECK_THROWS_AS(encode_get<Subject>(message, null), apalis::Error);
  CHECK_THROWS_AS(encode_set<Subject>(message, null, 1), apalis::Error);

  message.clear();
  encode_set<Subject>(message, &Subject::text, "new");
  Subject s;
  for (std::size_t n = sizeof(void*); n < message.size(); ++n) {
    Reader reader(message.bytes().first(n));
    Buffer result;
    REQUIRE_THROWS_AS(read_entry(reader)->invoke(&s, reader, result), Malformed);
  }
  CHECK(s.text == "text");
}

TEST_CASE("entries name the attribute", "[attribute]") {
  Buffer message;
  encode_get<Subject>(message, &Subject::number);
  Reader reader(message.bytes());
  CHECK_THAT(std::string(read_entry(reader)->name), ContainsSubstring("get int"));
  Buffer copying;
  encode_copy<Model>(copying);
  Reader copy(copying.bytes());
  CHECK(read_entry(copy)->name == "copy of attribute_cases::Model");
}
