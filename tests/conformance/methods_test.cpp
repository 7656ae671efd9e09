// SPDX-License-Identifier: BSL-1.0
// Calls by member function pointers, at run time and bound at compile time.
#include <unistd.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Token;
using namespace conformance;

namespace {

// A second base in front: the inherited pointers below need an adjusted this.
struct Ballast {
  virtual ~Ballast() = default;
  virtual int weight() const { return 1; }
  int ballast[4] = {1, 2, 3, 4};
};

struct Base {
  virtual ~Base() = default;
  int base_value = 10;
  int inherited(int x) { return base_value += x; }
  int inherited_const() const noexcept { return base_value; }
  virtual std::string dispatch(int x) { return "base " + std::to_string(x); }
  virtual int untouched() const { return 5; }
};

struct Subject : Ballast, Base {
  int value = 0;
  std::string text = "text";
  int last_pid = 0;

  int add(int x) { return value += x; }
  int peek() const { return value; }
  int add_noexcept(int x) noexcept { return value += x; }
  int peek_noexcept() const noexcept { return value; }
  int lvalue_only(int x) & { return value += x; }
  int const_lvalue_only() const& { return value; }
  int const_lvalue_noexcept() const& noexcept { return value; }

  int overloaded(int x) { return x; }
  std::string overloaded(const std::string& x) { return x; }
  int overloaded(int x, int y) const { return x * y; }

  std::string dispatch(int x) override { return "subject " + std::to_string(x); }
  int weight() const override { return 2; }

  void reset() { value = 0; }
  void set_both(int v, std::string t) {
    value = v;
    text = std::move(t);
  }
  const std::string& text_ref() const { return text; }
  const int& value_ref() const noexcept { return value; }
  std::string take(std::string&& s) { return std::move(s) + "!"; }
  std::size_t by_const_ref(const std::vector<int>& v) const { return v.size(); }
  int by_const_value(const int x) const { return x; }
  int own(std::unique_ptr<int> p) { return *p; }
  std::unique_ptr<int> give(int x) { return std::make_unique<int>(x); }
  int ten(int a, long b, short c, char d, float e, double f, bool g, unsigned h, std::string i,
          std::vector<int> j) const {
    return a + static_cast<int>(b) + c + d + static_cast<int>(e) + static_cast<int>(f) +
           (g ? 1 : 0) + static_cast<int>(h) + static_cast<int>(i.size()) +
           static_cast<int>(j.size());
  }
};

// A class template, to see `template call` in dependent code.
template <class Handler>
int through_template(Handler& h) {
  return h.template call<&Subject::add>(2).get();
}

struct Abstract {
  virtual ~Abstract() = default;
  virtual int pure(int x) = 0;
};
struct Concrete final : Abstract {
  int pure(int x) override { return x + 1; }
};

// Records which process converted the argument.
struct ConvertedIn {
  int pid = 0;
  ConvertedIn() = default;
  ConvertedIn(int /*number*/) : pid(static_cast<int>(::getpid())) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(pid);
  }
};

struct Recorder {
  int where(ConvertedIn c) const { return c.pid; }
  double half(double x) const { return x / 2; }
  int narrow(short x) const { return x; }
  std::size_t length(const std::string& s) const { return s.size(); }
  int first(std::vector<int> v) const { return v.at(0); }
};

// Its serialisation keeps only half of it, so one can see whether it was encoded.
struct Lossy {
  int kept = 0;
  int lost = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kept);
  }
};

struct Witness {
  int sum(const Lossy& x) const { return x.kept + x.lost; }
  Lossy make(int kept, int lost) const { return Lossy{kept, lost}; }
};

}  // namespace

TEST_CASE("a call by member pointer answers with the method's result", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  Token<int> t = h.call(&Subject::add, 5);
  CHECK(t.get() == 5);
  auto u = h.call<&Subject::add>(5);
  static_assert(std::is_same_v<decltype(u), Token<int>>);
  CHECK(u.get() == 10);
  CHECK(through_template(h) == 12);
}

TEST_CASE("const, noexcept and ref-qualified methods can be called", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK(h.call(&Subject::add_noexcept, 3).get() == 3);
  CHECK(h.call(&Subject::peek).get() == 3);
  CHECK(h.call(&Subject::peek_noexcept).get() == 3);
  CHECK(h.call(&Subject::lvalue_only, 1).get() == 4);
  CHECK(h.call(&Subject::const_lvalue_only).get() == 4);
  CHECK(h.call(&Subject::const_lvalue_noexcept).get() == 4);
  CHECK(h.call<&Subject::add_noexcept>(3).get() == 7);
  CHECK(h.call<&Subject::peek>().get() == 7);
  CHECK(h.call<&Subject::peek_noexcept>().get() == 7);
  CHECK(h.call<&Subject::lvalue_only>(1).get() == 8);
  CHECK(h.call<&Subject::const_lvalue_only>().get() == 8);
  CHECK(h.call<&Subject::const_lvalue_noexcept>().get() == 8);
}

TEST_CASE("overloaded methods are chosen by a cast", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK(h.call(static_cast<int (Subject::*)(int)>(&Subject::overloaded), 3).get() == 3);
  CHECK(h.call(static_cast<std::string (Subject::*)(const std::string&)>(&Subject::overloaded), "x")
            .get() == "x");
  CHECK(h.call(static_cast<int (Subject::*)(int, int) const>(&Subject::overloaded), 3, 4).get() ==
        12);
  CHECK(h.call<static_cast<int (Subject::*)(int, int) const>(&Subject::overloaded)>(5, 6).get() ==
        30);
}

TEST_CASE("inherited methods work on the derived object", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK(h.call(&Subject::inherited, 1).get() == 11);
  CHECK(h.call(&Base::inherited, 1).get() == 12);
  CHECK(h.call(&Base::inherited_const).get() == 12);
  CHECK(h.call<&Subject::inherited>(1).get() == 13);
  CHECK(h.call<&Base::inherited>(1).get() == 14);
  CHECK(h.call<&Base::inherited_const>().get() == 14);
  int (Subject::*adjusted)(int) = &Base::inherited;
  CHECK(h.call(adjusted, 1).get() == 15);
}

TEST_CASE("virtual methods dispatch on the object's own type", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  CHECK(h.call(&Base::dispatch, 1).get() == "subject 1");
  CHECK(h.call(&Subject::dispatch, 2).get() == "subject 2");
  CHECK(h.call<&Base::dispatch>(3).get() == "subject 3");
  CHECK(h.call(&Ballast::weight).get() == 2);
  CHECK(h.call<&Ballast::weight>().get() == 2);
  CHECK(h.call(&Base::untouched).get() == 5);
  std::string (Subject::*adjusted)(int) = &Base::dispatch;
  CHECK(h.call(adjusted, 4).get() == "subject 4");

  auto pure = on<Concrete>(backend);
  CHECK(pure.call(&Abstract::pure, 1).get() == 2);
  CHECK(pure.call<&Abstract::pure>(2).get() == 3);
}

TEST_CASE("a void method gives a token without a value", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  static_assert(std::is_same_v<decltype(h.call(&Subject::reset)), Token<void>>);
  static_assert(std::is_same_v<decltype(h.call<&Subject::reset>()), Token<void>>);
  h.call(&Subject::set_both, 4, "four").get();
  CHECK(h.call(&Subject::peek).get() == 4);
  h.call<&Subject::reset>().get();
  CHECK(h.call(&Subject::peek).get() == 0);
}

TEST_CASE("a const reference result arrives as a value", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  static_assert(std::is_same_v<decltype(h.call(&Subject::text_ref)), Token<std::string>>);
  static_assert(std::is_same_v<decltype(h.call<&Subject::value_ref>()), Token<int>>);
  CHECK(h.call(&Subject::text_ref).get() == "text");
  CHECK(h.call<&Subject::text_ref>().get() == "text");
  CHECK(h.call<&Subject::value_ref>().get() == 0);
}

TEST_CASE("parameters by value, const value, const reference and rvalue reference", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const std::vector<int> numbers{1, 2, 3};
  CHECK(h.call(&Subject::by_const_ref, numbers).get() == 3);
  CHECK(h.call<&Subject::by_const_ref>(std::vector<int>(7)).get() == 7);
  CHECK(h.call(&Subject::by_const_value, 8).get() == 8);
  CHECK(h.call(&Subject::take, std::string("moved")).get() == "moved!");
  CHECK(h.call<&Subject::take>("literal").get() == "literal!");
  CHECK(h.call(&Subject::own, std::make_unique<int>(9)).get() == 9);
  CHECK(h.call<&Subject::own>(std::make_unique<int>(10)).get() == 10);
  CHECK(*h.call(&Subject::give, 11).get() == 11);
  CHECK(*h.call<&Subject::give>(12).get() == 12);
  CHECK(h.call(&Subject::ten, 1, 2, short{3}, 'a', 5.0F, 6.0, true, 8U, "nine", numbers).get() ==
        1 + 2 + 3 + 'a' + 5 + 6 + 1 + 8 + 4 + 3);
  CHECK(h.call<&Subject::ten>(1, 2, short{3}, 'a', 5.0F, 6.0, true, 8U, "nine", numbers).get() ==
        1 + 2 + 3 + 'a' + 5 + 6 + 1 + 8 + 4 + 3);
}

TEST_CASE("arguments are converted to the parameter types by the caller", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Recorder>(backend);
  CHECK(h.call(&Recorder::where, 1).get() == static_cast<int>(::getpid()));
  CHECK(h.call<&Recorder::where>(1).get() == static_cast<int>(::getpid()));
  CHECK(h.call(&Recorder::half, 5).get() == 2.5);
  CHECK(h.call<&Recorder::half>(5).get() == 2.5);
  CHECK(h.call(&Recorder::narrow, short{-3}).get() == -3);
  CHECK(h.call(&Recorder::length, "literal").get() == 7);
  const char* pointer = "pointer!";
  CHECK(h.call<&Recorder::length>(pointer).get() == 8);
  CHECK(h.call(&Recorder::first, std::vector<int>{6}).get() == 6);
}

TEST_CASE("arguments and results are encoded in every backend", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Witness>(backend);
  CHECK(h.call(&Witness::sum, Lossy{1, 2}).get() == 1);
  CHECK(h.call<&Witness::sum>(Lossy{1, 2}).get() == 1);
  const Lossy made = h.call(&Witness::make, 3, 4).get();
  CHECK(made.kept == 3);
  CHECK(made.lost == 0);
}

TEST_CASE("arguments are encoded before call returns", "[methods]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<int> numbers(1000, 1);
  std::vector<Token<std::size_t>> tokens;
  for (int i = 0; i < 50; ++i) {
    tokens.push_back(h.call(&Subject::by_const_ref, numbers));
    numbers.pop_back();
  }
  numbers.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) CHECK(tokens[i].get() == 1000 - i);
}
