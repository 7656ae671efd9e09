// SPDX-License-Identifier: BSL-1.0
// Reading, writing and copying the object: get, set, copy.
#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "backends.hpp"

using apalis::Token;
using namespace conformance;

namespace {

struct Front {
  long front = 1;
};
struct Base {
  int inherited = 7;
  std::string base_name = "base";
};

struct Table : Front, Base {
  int total = 0;
  std::string title = "title";
  std::vector<double> column{1.0, 2.0};
  std::map<std::string, int> index{{"one", 1}};
  std::array<int, 3> cells{1, 2, 3};
  const int fixed = 99;

  int add(int x) { return total += x; }
};

struct Document {
  int pages = 0;
  std::vector<std::string> lines;
  void write(const std::string& line) { lines.push_back(line); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(pages, lines);
  }
  friend bool operator==(const Document&, const Document&) = default;
};

struct Vector3 {
  double x = 1, y = 2, z = 3;
  double sum() const { return x + y + z; }
  friend bool operator==(const Vector3&, const Vector3&) = default;
};

// Refuses some values when it is assigned.
struct Fussy {
  int value = 0;
  Fussy() = default;
  explicit Fussy(int v) : value(v) {}
  Fussy(const Fussy&) = default;
  Fussy& operator=(const Fussy& other) {
    if (other.value < 0) throw std::domain_error("negative");
    value = other.value;
    return *this;
  }
  ~Fussy() = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(value);
  }
};
struct FussyOwner {
  Fussy fussy;
  int value() const { return fussy.value; }
};

}  // namespace

TEST_CASE("get reads a member of any sendable type", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  static_assert(std::is_same_v<decltype(h.get(&Table::total)), Token<int>>);
  CHECK(h.get(&Table::total).get() == 0);
  CHECK(h.get(&Table::title).get() == "title");
  CHECK(h.get(&Table::column).get() == std::vector<double>{1.0, 2.0});
  CHECK(h.get(&Table::index).get().at("one") == 1);
  CHECK(h.get(&Table::cells).get()[2] == 3);
}

TEST_CASE("get of a const member gives its value", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  static_assert(std::is_same_v<decltype(h.get(&Table::fixed)), Token<int>>);
  CHECK(h.get(&Table::fixed).get() == 99);
}

TEST_CASE("set writes a member", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  h.set(&Table::total, 7);
  CHECK(h.get(&Table::total).get() == 7);
  h.set(&Table::title, "other");
  CHECK(h.get(&Table::title).get() == "other");
  h.set(&Table::column, std::vector<double>(1000, 0.5));
  CHECK(h.get(&Table::column).get() == std::vector<double>(1000, 0.5));
  h.set(&Table::index, {{"two", 2}});
  CHECK(h.get(&Table::index).get().at("two") == 2);
}

TEST_CASE("inherited members can be read and written", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  CHECK(h.get(&Table::inherited).get() == 7);
  CHECK(h.get(&Base::base_name).get() == "base");
  h.set(&Base::inherited, 8);
  h.set(&Table::base_name, "new");
  CHECK(h.get(&Base::inherited).get() == 8);
  CHECK(h.get(&Base::base_name).get() == "new");
  CHECK(h.get(&Front::front).get() == 1);
  CHECK(h.get(&Table::total).get() == 0);
}

TEST_CASE("get and set keep their place among the calls", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  std::vector<Token<int>> read;
  for (int i = 0; i < 100; ++i) {
    h.set(&Table::total, 10 * i);
    read.push_back(h.get(&Table::total));
    h.post(&Table::add, 1);
    read.push_back(h.call(&Table::add, 1));
  }
  for (int i = 0; i < 100; ++i) {
    CHECK(read[static_cast<std::size_t>(2 * i)].get() == 10 * i);
    CHECK(read[static_cast<std::size_t>(2 * i + 1)].get() == 10 * i + 2);
  }
}

TEST_CASE("set encodes its value at once", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Table>(backend);
  std::string title(10'000, 'x');
  h.set(&Table::title, title);
  title = "changed afterwards";
  CHECK(h.get(&Table::title).get() == std::string(10'000, 'x'));
}

TEST_CASE("a failing set surfaces at drain as a failing post does", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<FussyOwner>(backend);
  h.set(&FussyOwner::fussy, Fussy{3});
  h.set(&FussyOwner::fussy, Fussy{-1});
  CHECK(h.call(&FussyOwner::value).get() == 3);
  try {
    h.drain();
    FAIL("drain() kept quiet");
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == 1);
    CHECK_THROWS_AS(std::rethrow_exception(e.first()), std::domain_error);
  }
}

TEST_CASE("copy gives the object as it stands in the order of calls", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Document>(backend);
  h.post(&Document::write, "one");
  auto early = h.copy();
  h.post(&Document::write, "two");
  static_assert(std::is_same_v<decltype(early), Token<Document>>);
  CHECK(early.get() == Document{0, {"one"}});
  CHECK(h.copy().get() == Document{0, {"one", "two"}});
}

TEST_CASE("copy needs no code for a plain aggregate", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Vector3>(backend);
  h.set(&Vector3::y, 20.0);
  CHECK(h.copy().get() == Vector3{1, 20, 3});
}

TEST_CASE("copy with an edit changes the copy and leaves the object", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Document>(backend);
  h.post(&Document::write, "kept");
  const Document edited = h.copy([](Document& d) {
                             d.pages = 12;
                             d.lines.clear();
                           }).get();
  CHECK(edited == Document{12, {}});
  CHECK(h.copy().get() == Document{0, {"kept"}});
}

TEST_CASE("copy(edit) reports what the edit throws", "[attributes]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Document>(backend);
  auto t = h.copy([](Document&) { throw std::out_of_range("no such page"); });
  CHECK_THROWS_AS(t.get(), std::out_of_range);
  CHECK(h.copy().get() == Document{});
}
