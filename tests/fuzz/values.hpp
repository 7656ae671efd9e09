// SPDX-License-Identifier: BSL-1.0
#pragma once

// The types of results that hostile bytes are decoded as, each with a value of it for the seeds.

#include <apalis/detail/wire/codec.hpp>
#include <apalis/outcome.hpp>
#include <apalis/view.hpp>
#include <array>
#include <bitset>
#include <cereal/types/polymorphic.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "blocks.hpp"
#include "errors.hpp"

namespace apalis::fuzz {

struct Point {
  double x = 0, y = 0;
  int id = 0;
};

enum class Colour : std::uint8_t { red, green };

/// Aligned to more than malloc gives.
struct alignas(32) Lane4 {
  double values[4] = {};
};

/// Its functions save nothing.
struct Nothing {
  template <class Archive>
  void serialize(Archive&) {}
};

struct Record {
  std::string name;
  std::vector<Point> points;
  std::map<int, std::string> notes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, points, notes);
  }
};

/// One byte a level.
struct Tree {
  std::vector<Tree> children;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(children);
  }
};
struct Node {
  std::unique_ptr<Node> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(next);
  }
};

/// Cycles are what the child makes of it; weak ones, lest it be a leak.
struct Person {
  std::string name;
  std::weak_ptr<Person> friend_of;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, friend_of);
  }
};

class Constructed {
 public:
  explicit Constructed(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(parts_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
    std::vector<std::string> parts;
    archive(parts);
    construct(std::move(parts));
  }

 private:
  std::vector<std::string> parts_;
};

struct Shape {
  Shape() = default;
  Shape(const Shape&) = delete;
  Shape& operator=(const Shape&) = delete;
  virtual ~Shape() = default;
  [[nodiscard]] virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive&) {}
};
struct Square final : Shape {
  double side = 1;
  [[nodiscard]] double area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Shape>(this), side);
  }
};
struct Outline final : Shape {
  std::vector<Point> corners;
  [[nodiscard]] double area() const override { return static_cast<double>(corners.size()); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Shape>(this), corners);
  }
};

using Words = std::vector<std::string>;
using Deep =
    std::vector<std::map<std::string, std::optional<std::variant<int, std::string, Words>>>>;
using Shared = std::pair<std::vector<std::shared_ptr<std::string>>,
                         std::vector<std::shared_ptr<std::vector<double>>>>;
using Shapes = std::pair<std::vector<std::unique_ptr<Shape>>, std::vector<std::shared_ptr<Shape>>>;
using Queues =
    std::tuple<std::queue<int>, std::priority_queue<std::string>, std::list<std::u16string>,
               std::forward_list<bool>, std::bitset<70>, std::chrono::milliseconds>;

/// Names among other things.
struct Arrays {
  std::string name;
  std::vector<SharedArray<int>> arrays;
  std::optional<Ref<Notes>> notes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, arrays, notes);
  }
};

/// Calls `use(index, example)` for the value types, index by index.
template <class Use>
void for_each_example(Use&& use) {
  std::size_t index = 0;
  const auto next = [&](const auto& value) { use(index++, value); };
  next(4711);
  next(true);
  next(Colour::green);
  next(std::string("a text that is longer than a unit holds: 52 bytes and some"));
  next(Point{1, 2, 3});
  next(std::vector<double>{1, 2, 3});
  next(std::vector<bool>{true, false});
  next(std::vector<Lane4>(2));
  next(Words{"one", "", "three"});
  next(std::array<std::string, 2>{"a", "b"});
  next(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {2, 3}}});
  next(std::unordered_map<std::string, std::set<Colour>>{{"a", {Colour::red}}});
  next(Deep{{{"a", std::nullopt}, {"b", 1}, {"c", "text"}, {"d", Words{"x", "y"}}}});
  next(std::deque<std::array<double, 64>>(2));
  next(std::vector<std::vector<Nothing>>{std::vector<Nothing>(3), std::vector<Nothing>(2)});
  next(std::map<int, std::vector<std::pair<Nothing, Nothing>>>{{1, {{}, {}}}});
  next(Record{"name", {{1, 2, 3}}, {{1, "one"}}});
  next(Tree{{Tree{}, Tree{{Tree{}}}}});
  next(Constructed({"a", "b"}));
  next(std::optional<std::tuple<bool, std::string, double>>{{true, "x", 0.5}});
  next(Queues{{}, {}, {u"ab", u""}, {true, false}, 0x15, std::chrono::milliseconds{5}});
  {
    const auto text = std::make_shared<std::string>("shared");
    const auto numbers = std::make_shared<std::vector<double>>(3);
    next(Shared{{text, nullptr, text}, {numbers, numbers}});
    const auto person = std::make_shared<Person>();
    const auto other = std::make_shared<Person>(Person{"b", person});
    person->friend_of = other;
    next(std::vector<std::shared_ptr<Person>>{person, other});
  }
  {
    Shapes shapes;
    shapes.first.push_back(std::make_unique<Square>());
    shapes.first.push_back(std::make_unique<Outline>());
    shapes.second.push_back(std::make_shared<Square>());
    shapes.second.push_back(shapes.second.front());
    next(shapes);
    auto node = std::make_unique<Node>();
    node->next = std::make_unique<Node>();
    next(node);
    next(std::unique_ptr<std::string>());
  }
  {
    const Blocks& blocks = Blocks::here();
    next(blocks.numbers);
    next(blocks.grid);
    next(blocks.vector);
    next(blocks.notes);
    next(blocks.file);
    next(blocks.barrier);
    next(Arrays{"several", {blocks.numbers, blocks.numbers.subarray(5, 10)}, blocks.notes});
    next(View<int>::owning({1, 2, 3}));
  }
}

/// Looks at every byte of a decoded value, so that a sanitizer does.
template <class T>
void touch(const T& value) {
  if constexpr (!std::is_same_v<T, Tree> && !std::is_same_v<T, std::unique_ptr<Node>>) {
    detail::wire::Buffer again;
    detail::wire::encode(again, value);
  }
}

// Keeps what is read from being optimised away.
inline volatile std::size_t elements_seen = 0;

template <class T, std::size_t rank>
void touch(const SharedArray<T, rank>& array) {
  for (const T& each : array) elements_seen = elements_seen + (each == T{} ? 0 : 1);
  detail::wire::Buffer again;
  detail::wire::encode(again, array);
}
template <class T>
void touch(const Ref<T>& ref) {
  if constexpr (Ref<T>::is_array)
    if (ref)
      for (const auto& each : ref.span()) elements_seen = elements_seen + (each == 0 ? 0 : 1);
  detail::wire::Buffer again;
  detail::wire::encode(again, ref);
  if (ref) touch(ref.get());
}
inline void touch(const Barrier& barrier) {
  detail::wire::Buffer again;
  detail::wire::encode(again, barrier);
  elements_seen = elements_seen + barrier.participants() + (barrier.broken() ? 1 : 0);
}
inline void touch(const Arrays& several) {
  for (const auto& each : several.arrays) touch(each);
  if (several.notes) touch(*several.notes);
}
template <class R>
void touch(const std::vector<Outcome<R>>& outcomes) {
  for (const auto& outcome : outcomes) {
    if (!outcome.has_value()) {
      examine(outcome.error());
    } else if constexpr (!std::is_void_v<R>) {
      touch(outcome.value());
    }
  }
}

}  // namespace apalis::fuzz

CEREAL_REGISTER_TYPE(apalis::fuzz::Square)
CEREAL_REGISTER_TYPE(apalis::fuzz::Outline)
