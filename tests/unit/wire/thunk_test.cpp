// SPDX-License-Identifier: BSL-1.0
#include <apalis/by_value.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using apalis::by_value;
using Catch::Matchers::ContainsSubstring;

namespace thunk_cases {

struct First {
  long padding[4] = {1, 2, 3, 4};
  long first() const { return padding[0]; }
};
struct Second {
  long mark = 77;
  long second() const { return mark; }
  void set_mark(long x) { mark = x; }
};

struct Base {
  virtual ~Base() = default;
  virtual std::string who() const { return "base"; }
  int inherited(int x) const { return x + 1; }
};

struct Subject : Base, First, Second {
  int total = 0;

  int add(int x) { return total += x; }
  int add_noexcept(int x) noexcept { return total += x; }
  int read() const { return total; }
  int on_lvalue(int x) & { return total += x; }
  int on_const_lvalue() const& noexcept { return total; }
  int on_rvalue(int x) && { return total += 10 * x; }
  int on_const_rvalue() const&& { return total; }
  std::string who() const override { return "subject"; }
  int pick(int) { return 1; }
  double pick(double) { return 2.5; }
  std::string pick(std::string, int) { return "three"; }
  void nothing() { ++total; }
  const std::string& reference() const { return text; }
  std::string&& expiring() { return std::move(text); }
  std::size_t by_move(std::unique_ptr<std::string> p) { return p->size(); }
  std::size_t by_rvalue(std::string&& s) { return std::string(std::move(s)).size(); }
  std::unique_ptr<int> make(int x) { return std::make_unique<int>(x); }
  double sum(std::span<const double> xs) { return std::accumulate(xs.begin(), xs.end(), 0.0); }
  std::size_t length(std::string_view text_) { return text_.size(); }
  std::string mix(char c, const std::string& s, std::span<const double> xs, bool b,
                  std::string_view v, const std::map<std::string, int>& m) {
    if (reinterpret_cast<std::uintptr_t>(xs.data()) % alignof(double) != 0)
      throw std::logic_error("misaligned");
    return std::string(1, c) + s + std::to_string(xs.size()) + (b ? "t" : "f") + std::string(v) +
           std::to_string(m.at("k"));
  }
  int fail() { throw std::runtime_error("failed"); }
  int echo_string(const std::string& s) { return static_cast<int>(s.size()); }
  Subject& self() { return *this; }
  int* pointer() { return &total; }
  std::string_view view() const { return text; }

  std::string text = "text";
};

struct Derived : Subject {
  std::string who() const override { return "derived"; }
};

int free_function(Subject& s, int x) {
  return s.add(x);
}
int free_const(const Subject& s) noexcept {
  return s.total;
}
int free_base(Base& b, int x) {
  return b.inherited(x);
}

struct Scale {
  int factor = 1;
  std::string label;
  int operator()(Subject& s, int x) const {
    return s.add(factor * x + static_cast<int>(label.size()));
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(factor, label);
  }
};
struct Overloaded {
  int operator()(Subject& s, int x) const { return s.add(x); }
  std::string operator()(Subject&, const std::string& s) const { return s + "!"; }
};

}  // namespace thunk_cases

using namespace thunk_cases;

namespace {

void run(Buffer& message, void* object, Buffer& result) {
  Reader reader(message.bytes());
  read_entry(reader)->invoke(object, reader, result);
  REQUIRE(reader.remaining() == 0);
}

template <class R>
R reply(Buffer& message, void* object) {
  Buffer result;
  run(message, object, result);
  Reader reader(result.bytes());
  if constexpr (std::is_void_v<R>) {
    REQUIRE(reader.remaining() == 0);
  } else {
    R value = decode<R>(reader);
    REQUIRE(reader.remaining() == 0);
    return value;
  }
}

template <class A, class F, class... Arguments>
auto called(A& object, F&& f, Arguments&&... arguments) {
  using R = call_result_t<A, F, Arguments...>;
  Buffer message;
  encode_call<A>(message, std::forward<F>(f), std::forward<Arguments>(arguments)...);
  return reply<R>(message, &object);
}

template <auto f, class A, class... Arguments>
auto called_v(A& object, Arguments&&... arguments) {
  using R = call_result_v_t<A, f, Arguments...>;
  Buffer message;
  encode_call_v<A, f>(message, std::forward<Arguments>(arguments)...);
  return reply<R>(message, &object);
}

template <class F, class... Arguments>
std::size_t message_size(F f, Arguments&&... arguments) {
  Buffer message;
  encode_call<Subject>(message, f, std::forward<Arguments>(arguments)...);
  return message.size();
}

}  // namespace

TEST_CASE("member functions of every form, at run time and compile time", "[thunk]") {
  Subject s;
  CHECK(called(s, &Subject::add, 5) == 5);
  CHECK(called_v<&Subject::add>(s, 5) == 10);
  CHECK(called(s, &Subject::add_noexcept, 1) == 11);
  CHECK(called_v<&Subject::add_noexcept>(s, 1) == 12);
  CHECK(called(s, &Subject::read) == 12);
  CHECK(called_v<&Subject::read>(s) == 12);
  CHECK(called(s, &Subject::on_lvalue, 1) == 13);
  CHECK(called_v<&Subject::on_lvalue>(s, 1) == 14);
  CHECK(called(s, &Subject::on_const_lvalue) == 14);
  CHECK(called(s, &Subject::on_rvalue, 1) == 24);
  CHECK(called_v<&Subject::on_rvalue>(s, 1) == 34);
  CHECK(called(s, &Subject::on_const_rvalue) == 34);
  called(s, &Subject::nothing);
  called_v<&Subject::nothing>(s);
  CHECK(s.total == 36);
}

TEST_CASE("virtual and inherited member functions", "[thunk]") {
  Derived d;
  CHECK(called(d, &Base::who) == "derived");
  CHECK(called_v<&Subject::who>(d) == "derived");
  CHECK(called(d, &Base::inherited, 1) == 2);
  // These need `this` adjusted.
  CHECK(called(d, &First::first) == 1);
  CHECK(called(d, &Second::second) == 77);
  CHECK(called_v<&Second::second>(d) == 77);
  called(d, &Second::set_mark, 5);
  CHECK(d.mark == 5);
  // The same, but adjusted by the pointer itself.
  long (Subject::*adjusting)() const = &Second::second;
  CHECK(called(d, adjusting) == 5);
  void (Derived::*setting)(long) = &Second::set_mark;
  called(d, setting, 6);
  CHECK(d.mark == 6);
}

TEST_CASE("overloads are chosen by a cast", "[thunk]") {
  Subject s;
  CHECK(called(s, static_cast<int (Subject::*)(int)>(&Subject::pick), 1) == 1);
  CHECK(called(s, static_cast<double (Subject::*)(double)>(&Subject::pick), 1) == 2.5);
  CHECK(called_v<static_cast<std::string (Subject::*)(std::string, int)>(&Subject::pick)>(
            s, "x", 1) == "three");
}

TEST_CASE("functions, closures and function objects", "[thunk]") {
  Subject s;
  CHECK(called(s, &free_function, 2) == 2);
  CHECK(called(s, free_function, 2) == 4);
  CHECK(called_v<&free_function>(s, 2) == 6);
  CHECK(called(s, &free_const) == 6);
  CHECK(called(s, &free_base, 2) == 3);

  CHECK(called(
            s, [](Subject& c, int x, int k) { return c.add(x) * k; }, 4, 3) == 30);
  CHECK(called_v<[](Subject& c, int x) { return c.add(x); }>(s, 1) == 11);
  CHECK(called(s, [](const Subject& c) { return c.total; }) == 11);
  CHECK(called(s, [](Subject copy) { return copy.total; }) == 11);
  CHECK(called(
            s, [](Subject& c, int x) mutable noexcept { return c.add(x); }, 1) == 12);
  CHECK(called(
            s, +[](Subject& c) { return c.total; }) == 12);

  SECTION("generic ones take the arguments' own types") {
    CHECK(called(
              s, [](auto& c, auto x) { return c.add(x); }, 1) == 13);
    CHECK(called(
              s, [](auto&, auto&& text) { return text + "!"; }, "literal") == "literal!");
    char array[] = "array";
    CHECK(called(
              s, [](auto&, const auto& text) { return text.size(); }, array) == 5);
    CHECK(called(s, Overloaded{}, 1) == 14);
    CHECK(called(s, Overloaded{}, "hey") == "hey!");
    CHECK(called(
              s, [](auto&, auto... xs) { return (xs + ... + 0); }, 1, 2, 3) == 6);
  }
  SECTION("what by_value vouches for") {
    int k = 3;
    struct {
      double a, b;
    } pair{1, 2};
    CHECK(called(s, by_value([k](Subject& c, int x) { return c.add(k * x); }), 2) == 18);
    CHECK(called(s, by_value([pair](auto&, double x) { return pair.a + pair.b + x; }), 2) == 5);
  }
  SECTION("what has serialize") {
    CHECK(called(s, Scale{10, "abc"}, 2) == 35);
    const Scale scale{1, std::string(400, 'x')};
    CHECK(called(s, scale, 0) == 435);
  }
}

TEST_CASE("arguments are converted to the parameters' types", "[thunk]") {
  Subject s;
  const short narrow = 3;
  CHECK(called(s, &Subject::add, narrow) == 3);
  CHECK(called(s, &Subject::add, 2.9) == 5);
  CHECK(called(s, &Subject::echo_string, "literal") == 7);
  CHECK(called(s, &Subject::length, "literal") == 7);
  CHECK(called(s, &Subject::length, std::string(300, 'x')) == 300);
  CHECK(called(s, &Subject::length, std::string_view("abc")) == 3);
  CHECK(called(s, &Subject::sum, std::vector<double>{1, 2, 3}) == 6);
  const double array[] = {1, 2};
  CHECK(called(s, &Subject::sum, array) == 3);
  CHECK(called(s, &Subject::sum, std::span<const double>()) == 0);
  CHECK(called(s, &Subject::by_rvalue, "abc") == 3);
  std::string lvalue = "kept";
  CHECK(called(s, &Subject::by_rvalue, lvalue) == 4);
  CHECK(lvalue == "kept");
}

TEST_CASE("move-only arguments and results", "[thunk]") {
  Subject s;
  CHECK(called(s, &Subject::by_move, std::make_unique<std::string>("12345")) == 5);
  auto p = std::make_unique<std::string>("1");
  CHECK(called(s, &Subject::by_move, std::move(p)) == 1);
  CHECK(*called(s, &Subject::make, 9) == 9);
}

TEST_CASE("results arrive as values", "[thunk]") {
  Subject s;
  static_assert(std::is_same_v<call_result_t<Subject, decltype(&Subject::reference)>, std::string>);
  static_assert(std::is_same_v<call_result_v_t<Subject, &Subject::expiring>, std::string>);
  CHECK(called(s, &Subject::reference) == "text");
  CHECK(called(s, &Subject::expiring) == "text");
  CHECK(called(s, [](Subject& c) -> const int& { return c.total; }) == 0);
}

TEST_CASE("borrowed arguments are aligned wherever they stand", "[thunk]") {
  Subject s;
  const std::vector<double> xs(7);
  const std::map<std::string, int> m{{"k", 4}};
  for (std::size_t n = 0; n < 20; ++n) {
    const std::string text(n, 's');
    REQUIRE(called(s, &Subject::mix, 'c', text, xs, true, "view", m) == "c" + text + "7tview4");
    REQUIRE(called_v<&Subject::mix>(s, 'c', text, xs, false, "view", m) == "c" + text + "7fview4");
  }
  Buffer message;
  encode_call<Subject>(message, &Subject::mix, 'c', "s", xs, true, "view", m);
  Reader reader(message.bytes());
  CHECK(read_entry(reader)->alignment == alignof(double));
}

TEST_CASE("a result that nobody will see need not cross", "[thunk]") {
  Subject s;
  Buffer message;
  Buffer result;
  encode_post<Subject>(message, &Subject::self);
  run(message, &s, result);
  message.clear();
  encode_post_v<Subject, &Subject::pointer>(message);
  run(message, &s, result);
  message.clear();
  encode_post<Subject>(message, &Subject::add, 3);
  run(message, &s, result);
  message.clear();
  encode_post<Subject>(message, [](Subject& c) -> int* { return &c.total; });
  run(message, &s, result);
  CHECK(result.size() == 0);
  CHECK(s.total == 3);
}

TEST_CASE("exceptions go through", "[thunk]") {
  Subject s;
  CHECK_THROWS_AS(called(s, &Subject::fail), std::runtime_error);
  CHECK_THROWS_AS(called_v<&Subject::fail>(s), std::runtime_error);
  struct Refuses {
    operator int() const { throw std::out_of_range("no int"); }
  };
  Buffer message;
  CHECK_THROWS_AS(encode_call<Subject>(message, &Subject::add, Refuses{}), std::out_of_range);
}

TEST_CASE("a null function is refused before it is sent", "[thunk]") {
  Buffer message;
  int (*function)(Subject&, int) = nullptr;
  CHECK_THROWS_WITH(encode_call<Subject>(message, function, 1), ContainsSubstring("null"));
  int (Subject::*member)(int) = nullptr;
  CHECK_THROWS_AS(encode_call<Subject>(message, member, 1), apalis::Error);
  CHECK_THROWS_AS(encode_post<Subject>(message, member, 1), apalis::Error);
}

TEST_CASE("messages are small", "[thunk]") {
  CHECK(message_size(&Subject::add, 5) <= 20);
  CHECK(message_size(&Subject::echo_string, std::string(32, 'x')) <= 52);
  CHECK(message_size([](Subject&, int) {}, 5) <= 12);
  Buffer message;
  encode_call_v<Subject, &Subject::add>(message, 5);
  CHECK(message.size() <= 12);
}

TEST_CASE("entries name what they call", "[thunk]") {
  const auto name = [](const Buffer& message) {
    Reader reader(message.bytes());
    return read_entry(reader)->name;
  };
  Buffer constant;
  encode_call_v<Subject, &Subject::add>(constant, 5);
  CHECK(name(constant) == "int thunk_cases::Subject::add(int)");
  Buffer two;
  encode_call_v<Subject, static_cast<std::string (Subject::*)(std::string, int)>(&Subject::pick)>(
      two, "x", 1);
  CHECK_THAT(std::string(name(two)), ContainsSubstring("Subject::pick("));
  CHECK_THAT(std::string(name(two)), ContainsSubstring(", int)"));
  Buffer at_run_time;
  encode_call<Subject>(at_run_time, &Subject::add, 5);
  CHECK_THAT(std::string(name(at_run_time)), ContainsSubstring("Subject::*"));
  Buffer object;
  encode_call<Subject>(object, Scale{}, 5);
  CHECK(name(object) == "thunk_cases::Scale");
}

TEST_CASE("a truncated message is malformed, wherever it ends", "[thunk]") {
  Subject s;
  const std::vector<double> xs{1, 2, 3};
  const std::map<std::string, int> m{{"k", 4}};
  Buffer message;
  encode_call<Subject>(message, &Subject::mix, 'c', std::string(40, 's'), xs, true, "view", m);
  for (std::size_t n = sizeof(void*); n < message.size(); ++n) {
    Reader reader(message.bytes().first(n));
    Buffer result;
    REQUIRE_THROWS_AS(read_entry(reader)->invoke(&s, reader, result), Malformed);
  }
}

TEST_CASE("code_address is where a call leads, if that can be told", "[thunk]") {
  CHECK(code_address<Subject>(&free_function) == reinterpret_cast<const void*>(&free_function));
  CHECK(code_address<Subject>(free_function) == reinterpret_cast<const void*>(&free_function));
  CHECK(code_address<Subject>(&Subject::add) != nullptr);
  CHECK(code_address<Subject>(&Subject::who) == nullptr);
  CHECK(code_address<Subject>([](Subject&) {}) == nullptr);
}
