// SPDX-License-Identifier: BSL-1.0
// Groups: how they are made, their objects one by one, and their end.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "gate.hpp"

using apalis::Error;
using apalis::GroupHandler;
using apalis::GroupObject;
using apalis::GroupOptions;
using apalis::Token;
using namespace conformance;

namespace {

/// Movable, not copyable, and nothing could serialise it.
struct Carried {
  std::unique_ptr<int> value;
  std::function<int(int)> change;
  int apply(int x) const { return change(*value) + x; }
};

std::vector<Carried> carried(std::size_t count) {
  std::vector<Carried> all;
  for (int i = 0; i < static_cast<int>(count); ++i)
    all.push_back({std::make_unique<int>(i), [i](int x) { return x + 100 * i; }});
  return all;
}

struct Immovable {
  explicit Immovable(std::size_t i) : index(static_cast<int>(i)) {}
  Immovable(Immovable&&) = delete;
  int index;
  int tell() const { return index; }
};

struct Says {
  Gate* gate;
  explicit Says(Gate* g) : gate(g) {}
  Says(Says&&) = delete;
  ~Says() { gate->open(); }
  int zero() const { return 0; }
};

template <class A>
void check_tells(const GroupHandler<A>& g, std::size_t size) {
  REQUIRE(g.size() == size);
  for (std::size_t i = 0; i < size; ++i) CHECK(g[i].call(&A::tell).get() == static_cast<int>(i));
}

}  // namespace

// --- Making them ---------------------------------------------------------------------------------

TEST_CASE("a group is made from a vector of objects, which need not be serialisable", "[group]") {
  const auto backend = each_backend();
  const auto workers = GENERATE(1U, 2U, 3U, 7U);
  CAPTURE(backend, workers);
  GroupHandler<Carried> g{group_options(backend, workers), apalis::carry, carried(7)};
  REQUIRE(g.size() == 7);
  CHECK(g.workers() == workers);
  for (int i = 0; i < 7; ++i)
    CHECK(g[static_cast<std::size_t>(i)].call(&Carried::apply, 5).get() == 101 * i + 5);
}

TEST_CASE("a group of processes needs no more than a vector", "[group]") {
  GroupHandler g{std::vector{Cell{3}, Cell{1}, Cell{2}}};
  static_assert(std::is_same_v<decltype(g), GroupHandler<Cell>>);
  CHECK(g.map(&Cell::tell) == std::vector{3, 1, 2});
  CHECK(g.workers() <= 3);
  CHECK(g.workers() >= 1);
}

TEST_CASE("a group is made by a factory that is given the index", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int offset = 40;
  GroupHandler<Cell> g{group_options(backend, 3), std::in_place, 8, [&offset](std::size_t i) {
                         return Cell{static_cast<int>(i), offset};
                       }};
  check_tells(g, 8);
  CHECK(g[7].get(&Cell::total).get() == 40);
}

TEST_CASE("objects that a factory makes need not even be movable", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  GroupHandler<Immovable> g{group_options(backend, 2), std::in_place, 5,
                            [](std::size_t i) { return Immovable{i}; }};
  check_tells(g, 5);
}

TEST_CASE("a group is made from the same arguments for all", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  GroupHandler<std::string> g{group_options(backend, 2), std::in_place, 5, std::size_t{3}, 'x'};
  for (auto object : g) CHECK(object.call([](std::string& s) { return s; }).get() == "xxx");
  GroupHandler<Cell> plain{group_options(backend, 2), std::in_place, 3};
  CHECK(plain.map(&Cell::tell) == std::vector{0, 0, 0});
}

TEST_CASE("each object of a group is one of its own", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 6);
  for (std::size_t i = 0; i < 6; ++i) g[i].post(&Cell::grow, static_cast<int>(i));
  for (std::size_t i = 0; i < 6; ++i) CHECK(g[i].get(&Cell::total).get() == static_cast<int>(i));
}

TEST_CASE("a group has no more workers than objects", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 16, 3);
  CHECK(g.workers() == 3);
  check_tells(g, 3);
  GroupHandler<Cell> by_itself{group_options(backend, 0), std::in_place, 1000};
  CHECK(by_itself.workers() == static_cast<std::size_t>(apalis::cpu_count()));
}

TEST_CASE("objects are shared out evenly, in turn", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 8);
  std::vector<int> load(3);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(g[i].index() == i);
    CHECK(g[i].worker() == i % 3);
    ++load[g[i].worker()];
  }
  CHECK(load == std::vector{3, 3, 2});
  const auto pids = g.pids();
  REQUIRE(pids.size() == 3);
  CHECK(g[4].pid() == pids[1]);
  if (apalis::capabilities(backend).isolates)
    CHECK(std::set<pid_t>(pids.begin(), pids.end()).size() == 3);
}

TEST_CASE("a group may be empty", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  GroupHandler<Cell> g{group_options(backend, 4), apalis::carry, {}};
  CHECK(g.empty());
  CHECK(g.size() == 0);
  CHECK(g.begin() == g.end());
  CHECK(g.map(&Cell::tell).empty());
  CHECK(g.map(&Cell::add, apalis::each(std::vector<int>{})).empty());
  g.map(&Cell::grow, 1);
  const std::vector<apalis::Call<Cell, int>> none;
  CHECK(g.run(none).empty());
  CHECK(g.run(none, apalis::collect).empty());
  CHECK(g.multiple_run(none).get().empty());
  CHECK_THROWS_AS(g.at(0), Error);
  g.drain();
  g.close();
}

TEST_CASE("what on_worker_start throws is what every object's calls fail with", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto options = group_options(backend, 2);
  options.on_worker_start = [] { throw std::domain_error("no licence"); };
  GroupHandler<Cell> g{options, std::in_place, 4};
  CHECK_THROWS_AS(g[3].call(&Cell::tell).get(), std::domain_error);
  try {
    g.map(&Cell::tell);
    FAIL("map() kept quiet");
  } catch (const apalis::BatchError& e) {
    CHECK(e.failures() == 4);
  }
}

// --- The objects ---------------------------------------------------------------------------------

TEST_CASE("at() refuses an index that is out of range", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  CHECK(g.at(4).call(&Cell::tell).get() == 4);
  CHECK_THROWS_AS(g.at(5), Error);
  CHECK_THROWS_WITH(g.at(5), Catch::Matchers::ContainsSubstring("5"));
}

TEST_CASE("iteration gives the objects in order", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  std::vector<Token<int>> tokens;
  for (auto object : g) tokens.push_back(object.call(&Cell::tell));
  CHECK(apalis::get(tokens) == numbers(0, 5));
  const std::vector<GroupObject<Cell>> objects(g.begin(), g.end());
  REQUIRE(objects.size() == 5);
  CHECK(objects[2].index() == 2);
  CHECK(std::ranges::count_if(g, [](const auto& o) { return o.index() > 2; }) == 2);
}

TEST_CASE("an object of a group has every verb of a handler", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  const auto object = g[3];
  CHECK(object.call(&Cell::add, 5).get() == 5);
  CHECK(object.call<&Cell::add>(5).get() == 10);
  CHECK(object.call([](Cell& c, int k) { return c.index * k; }, 7).get() == 21);
  object.post(&Cell::grow, 1);
  object.post<&Cell::grow>(1);
  CHECK(object.get(&Cell::total).get() == 12);
  object.set(&Cell::total, 100);
  CHECK(object.get(&Cell::total).get() == 100);
  CHECK(object.copy().get().total == 100);
  CHECK(object.copy([](Cell& c, int x) { c.total = x; }, 1).get().total == 1);
  CHECK(object.get(&Cell::total).get() == 100);
  const std::vector calls{object.prepare(&Cell::add, 1), object.prepare<&Cell::add>(2)};
  CHECK(g.run(calls) == std::vector{101, 103});
  CHECK(g[2].get(&Cell::total).get() == 0);
}

TEST_CASE("calls to one object run in the order in which they were made", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 3);
  auto object = g[1];
  std::vector<apalis::Call<Cell, int>> calls;
  for (std::size_t i = 0; i < 3; ++i) calls.push_back(g[i].prepare(&Cell::add, 1));
  object.post(&Cell::grow, 10);
  auto batch = g.multiple_run(calls);
  object.set(&Cell::total, 20);
  auto all = g.start_map(&Cell::add, 2);
  auto last = object.call(&Cell::add, 100);
  CHECK(batch.get() == std::vector{1, 11, 1});
  CHECK(all.get() == std::vector{3, 22, 3});
  CHECK(last.get() == 122);
}

TEST_CASE("proxies survive a move of their group, and copies are the same object", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  auto object = g[1];
  auto other = g[2];
  GroupHandler<Cell> moved{std::move(g)};
  CHECK(object.call(&Cell::add, 1).get() == 1);
  auto again = cells(backend, 1, 1);
  again = std::move(moved);
  CHECK(object.call(&Cell::add, 1).get() == 2);
  auto copy = object;
  CHECK(copy.call(&Cell::add, 1).get() == 3);
  copy = other;
  CHECK(copy.index() == 2);
  CHECK(copy.call(&Cell::add, 1).get() == 1);
  CHECK(again[1].get(&Cell::total).get() == 3);
  CHECK(again.size() == 4);
  auto& self = again;
  again = std::move(self);
  CHECK(again.valid());
}

TEST_CASE("a group that was moved from is empty, and throws", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  const auto moved = std::move(g);
  CHECK(moved.valid());
  CHECK_FALSE(g.valid());  // NOLINT(bugprone-use-after-move)
  CHECK(g.empty());
  CHECK_THROWS_AS(g[0], Error);
  CHECK_THROWS_AS(g.map(&Cell::tell), Error);
  CHECK_THROWS_AS(g.drain(), Error);
}

TEST_CASE("calls to an object whose group has ended are an Error", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::optional<GroupObject<Cell>> object;
  Token<int> token;
  {
    auto g = cells(backend, 2, 4);
    object = g[3];
    token = object->call(&Cell::tell);
  }
  CHECK(token.get() == 3);
  CHECK(object->index() == 3);
  CHECK_THROWS_AS(object->call(&Cell::tell), Error);
  CHECK_THROWS_AS(object->post(&Cell::grow, 1), Error);
  CHECK_THROWS_AS(object->set(&Cell::total, 1), Error);
  CHECK_THROWS_AS(object->copy(), Error);
}

// --- The end -------------------------------------------------------------------------------------

TEST_CASE("a group closes once, and refuses calls from then on", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  auto one = g[1].call(&Cell::add, 1);
  auto all = g.start_map(&Cell::add, 1);
  CHECK(g.alive());
  g.close();
  g.close();
  CHECK_FALSE(g.alive());
  CHECK(one.get() == 1);
  CHECK(all.get() == std::vector{1, 2, 1, 1});
  CHECK_THROWS_AS(g[0].call(&Cell::tell), Error);
  CHECK_THROWS_AS(g.map(&Cell::tell), Error);
  CHECK_THROWS_AS(g.drain(), Error);
}

TEST_CASE("tokens outlive their group", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Token<std::vector<int>> all;
  Token<std::vector<int>> some;
  {
    auto g = cells(backend, 3, 5);
    const std::vector calls{g[4].prepare(&Cell::tell), g[0].prepare(&Cell::tell)};
    all = g.start_map(&Cell::tell);
    some = g.multiple_run(calls);
  }
  CHECK(all.get() == numbers(0, 5));
  CHECK(some.get() == std::vector{4, 0});
}

TEST_CASE("every object of a group is destroyed once, at its end", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  Gate ended;
  {
    GroupHandler<Says> g{group_options(backend, 2), std::in_place, 5, &ended};
    CHECK(g.map(&Says::zero).size() == 5);
    CHECK_FALSE(ended.pass_within(std::chrono::milliseconds(0)));
  }
  for (int i = 0; i < 5; ++i) ended.pass();
  CHECK_FALSE(ended.pass_within(std::chrono::milliseconds(0)));
}

TEST_CASE("a group can be made and dropped without a call", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  for (int i = 0; i < 5; ++i) {
    auto g = cells(backend, 3, 10);
    CHECK(g.lost().empty());
    CHECK(g.restarts() == 0);
    CHECK(g.retired() == 0);
  }
}

TEST_CASE("a dropped token of a whole batch leaks nothing and blocks nothing", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 10);
  for (int i = 0; i < 100; ++i) {
    auto dropped = g.start_map(&Cell::add, 1);
    if (i % 2 == 0) CHECK(dropped.wait_for(std::chrono::minutes(1)));
  }
  CHECK(g.map(&Cell::add, 0) == std::vector<int>(10, 100));
}
