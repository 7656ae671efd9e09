// SPDX-License-Identifier: BSL-1.0
// Tasks whose arguments and results become bytes in other ways.
#include <apalis/serialization.hpp>
#include <apalis/task_group.hpp>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "engines.hpp"

using apalis::Engine;
using apalis::serialization;
using apalis::TaskGroup;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;

namespace {

struct User {
  std::string name;
  std::vector<double> scores;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::make_nvp("name", name), cereal::make_nvp("scores", scores));
  }
};

User add(User user, const double& score) {
  user.scores.push_back(score);
  return user;
}

/// Has no functions that any archive knows.
class Celsius {
 public:
  Celsius() = default;
  explicit Celsius(double degrees) : degrees_(degrees) {}
  [[nodiscard]] double degrees() const { return degrees_; }
  [[nodiscard]] const Celsius* self() const { return this_; }

 private:
  double degrees_ = 0;
  const Celsius* this_ = this;
};

/// One number a line.
struct Lines {
  template <class... T>
  static std::string save(const T&... values) {
    std::string text;
    ((text += std::to_string(values.degrees()) + "\n"), ...);
    return text;
  }
  template <class... T>
  static std::tuple<T...> load(const std::string& text) {
    const char* at = text.c_str();
    return {next<T>(at)...};
  }

 private:
  template <class T>
  static T next(const char*& at) {
    char* end = nullptr;
    const double degrees = std::strtod(at, &end);
    if (end == at) throw std::invalid_argument("no number");
    at = end;
    return T{degrees};
  }
};

/// Nothing can be read of what it writes.
struct Broken : apalis::Json {
  template <class... T>
  static std::string save(const T&... /*values*/) {
    return "{";
  }
};

template <class Format>
void check_format(const Engine& engine) {
  auto group = TaskGroup<User>::make(engine).value();
  const User ada{"ada \"the first\"", {0.1, 1e300}};
  group.run(add, ada, 3);  // in between: the library's own
  group.run(serialization<Format>, add, ada, 3);
  group.run(
      serialization<Format>, [](const auto& user) { return user; }, ada);
  const auto users = group.get();
  REQUIRE(users.size() == 3);
  CHECK(users[0].scores == users[1].scores);
  CHECK(users[1].name == ada.name);
  CHECK(users[1].scores == std::vector{0.1, 1e300, 3.0});
  CHECK(users[2].scores == ada.scores);
}

}  // namespace

TEST_CASE("runs of a group may be serialised by cereal's archives", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  SECTION("binary") {
    check_format<apalis::Binary>(engine);
  }
  SECTION("portable binary") {
    check_format<apalis::PortableBinary>(engine);
  }
  SECTION("JSON") {
    check_format<apalis::Json>(engine);
  }
}

TEST_CASE("runs of a group may be serialised by a user's format", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = TaskGroup<Celsius>::make(engine).value();
  group.run(
      serialization<Lines>,
      [](const Celsius& a, Celsius b) { return Celsius{a.degrees() + b.degrees()}; }, Celsius{20.5},
      Celsius{1});
  CHECK(group.get()[0].degrees() == 21.5);
  auto none = TaskGroup<void>::make(engine).value();
  none.run(
      serialization<Lines>, [](const Celsius& c) { return c.degrees(); }, Celsius{3});
  none.get();
}

TEST_CASE("what a format can't read is the failure of that run", "[task_group]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  auto group = TaskGroup<int>::make(engine).value();
  group.run([](int x) { return x; }, 1);
  group.run(
      serialization<Broken>, [](int x) { return x; }, 2);
  CHECK_THROWS_WITH(group.get(), ContainsSubstring("1 of 2 runs") && ContainsSubstring("run 1"));
}
