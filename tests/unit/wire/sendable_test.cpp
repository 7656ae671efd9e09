// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/sendable.hpp>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace sendable_cases {

struct Point {
  double x, y;
};
struct Node {
  Node* next;
};
struct Named {
  std::string name;
  int n;
};
struct Serialized {
  std::string name;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name);
  }
};
struct OnlySave {
  int n = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(n);
  }
};
class NoDefault {
 public:
  explicit NoDefault(int n) : n_(n) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n_);
  }

 private:
  int n_;
};
class Constructed {
 public:
  explicit Constructed(int n) : n_(n) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
    int n = 0;
    archive(n);
    construct(n);
  }

 private:
  int n_;
};
struct Abstract {
  virtual ~Abstract() = default;
  virtual int f() const = 0;
};
struct Immovable {
  Immovable() = default;
  Immovable(const Immovable&) = delete;
  Immovable& operator=(const Immovable&) = delete;
  template <class Archive>
  void serialize(Archive&) {}
};

}  // namespace sendable_cases

namespace {

using namespace sendable_cases;
using apalis::detail::wire::Culprit;
using apalis::detail::wire::sendable;
using apalis::detail::wire::sendable_value;

static_assert(sendable<int> && sendable<Point> && sendable<std::string>);
static_assert(sendable<std::vector<std::string>> && sendable<std::vector<bool>>);
static_assert(sendable<std::map<std::string, std::vector<Point>>>);
static_assert(sendable<std::optional<Serialized>> && sendable<std::variant<int, std::string>>);
static_assert(sendable<std::tuple<>> && sendable<std::tuple<int, std::string, Point>>);
static_assert(sendable<std::pair<const int, std::string>>);
static_assert(sendable<std::set<std::pair<int, int>>>);
static_assert(sendable<Serialized> && sendable<Constructed>);
static_assert(sendable<std::unique_ptr<int>> && sendable<std::shared_ptr<Constructed>>);
static_assert(sendable<std::shared_ptr<Abstract>> && sendable<std::unique_ptr<Abstract>>);
static_assert(sendable<std::vector<std::unique_ptr<Constructed>>>);

static_assert(!sendable<int*> && !sendable<int&> && !sendable<const int> && !sendable<void>);
static_assert(!sendable<Node> && !sendable<std::vector<Node>>);
static_assert(!sendable<std::vector<int*>> && !sendable<std::map<int, const char*>>);
static_assert(!sendable<std::map<std::string_view, int>>);
static_assert(!sendable<std::optional<std::span<const int>>>);
static_assert(!sendable<std::vector<std::vector<std::pair<int, std::optional<int*>>>>>);
static_assert(!sendable<std::tuple<int, int*>> && !sendable<std::variant<int, int*>>);
static_assert(!sendable<std::unique_ptr<int*>> && !sendable<std::shared_ptr<Node>>);
static_assert(!sendable<std::string_view> && !sendable<std::span<int>>);
static_assert(!sendable<Named>);  // no aggregate of bytes, and no functions
static_assert(!sendable<OnlySave> && !sendable<NoDefault> && !sendable<Abstract>);
static_assert(!sendable<std::vector<Constructed>>);  // cereal makes elements before loading them
static_assert(!sendable<std::thread> && !sendable<std::atomic<int>>);

static_assert(sendable<Immovable> && !sendable_value<Immovable>);
static_assert(sendable_value<std::unique_ptr<int>>);

// What a refusal names.
static_assert(std::is_same_v<Culprit<Named>, Named>);
static_assert(std::is_same_v<Culprit<std::vector<int*>>, int*>);
static_assert(std::is_same_v<Culprit<std::map<int, std::optional<Node>>>, Node>);
static_assert(
    std::is_same_v<Culprit<std::tuple<int, std::string, std::string_view>>, std::string_view>);
static_assert(std::is_same_v<Culprit<std::vector<Constructed>>, Constructed>);

}  // namespace

TEST_CASE("which types cross at all", "[sendable]") {
  SUCCEED("checked by the compiler");
}
