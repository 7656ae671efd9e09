// SPDX-License-Identifier: BSL-1.0
// One call of every object: map, each.
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"

using apalis::BatchError;
using apalis::each;
using apalis::Error;
using apalis::Token;
using namespace conformance;

namespace {

/// Refuses some values in the worker, before it has read all of itself.
struct Picky {
  int value = 0;
  std::string text;

  template <class Archive>
  void save(Archive& archive) const {
    archive(value, text);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value);
    if (value < 0) throw std::domain_error("negative");
    archive(text);
  }
};

}  // namespace

TEST_CASE("map calls every object with the same arguments", "[group]") {
  const auto backend = each_backend();
  const auto workers = GENERATE(1U, 2U, 3U, 7U);
  CAPTURE(backend, workers);
  auto g = cells(backend, workers, 7);
  static_assert(std::is_same_v<decltype(g.map(&Cell::tell)), std::vector<int>>);
  CHECK(g.map(&Cell::tell) == numbers(0, 7));
  CHECK(g.map(&Cell::add, 5) == std::vector<int>(7, 5));
  CHECK(g.map<&Cell::add>(5) == std::vector<int>(7, 10));
  CHECK(g.map(&Cell::weigh, 0.5, 1) == std::vector{1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0});
}

TEST_CASE("each() gives every object an argument of its own", "[group]") {
  const auto backend = each_backend();
  const auto workers = GENERATE(1U, 2U, 3U);
  CAPTURE(backend, workers);
  auto g = cells(backend, workers, 5);
  const auto own = numbers(10, 5);
  CHECK(g.map(&Cell::add, each(own)) == own);
  CHECK(g.map<&Cell::add>(each(own)) == std::vector{20, 22, 24, 26, 28});
  CHECK(g.map(&Cell::subtract, each(numbers(10, 5))) == own);
  CHECK(g.map(&Cell::add, each(std::deque<short>{1, 2, 3, 4, 5})) ==
        std::vector{11, 13, 15, 17, 19});
  CHECK(g.map(&Cell::add, each(std::views::iota(0, 5))) == std::vector{11, 14, 17, 20, 23});
  auto doubled = own | std::views::transform([](int x) { return -2 * x; });
  CHECK(g.map(&Cell::add, each(doubled)) == std::vector{-9, -8, -7, -6, -5});
  const int array[] = {9, 8, 7, 6, 5};
  CHECK(g.map(&Cell::add, each(array)) == std::vector{0, 0, 0, 0, 0});
}

TEST_CASE("own and shared arguments may be mixed", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  const std::vector factors{1.0, 10.0, 100.0, 1000.0, 10000.0};
  CHECK(g.map(&Cell::weigh, each(factors), 1) == std::vector{1.0, 11.0, 201.0, 3001.0, 40001.0});
  CHECK(g.map(&Cell::weigh, 2, each(numbers(5, 5))) == std::vector{5.0, 8.0, 11.0, 14.0, 17.0});
  CHECK(g.map(&Cell::weigh, each(factors), each(numbers(0, 5))) ==
        std::vector{0.0, 11.0, 202.0, 3003.0, 40004.0});
  const auto spell = [](Cell& c, const std::string& before, int x, std::string_view after) {
    return before + std::to_string(c.index) + std::to_string(x) + std::string(after);
  };
  const std::vector<std::string> ends{"a", "", std::string(1000, 'b'), "c", "d"};
  const auto texts = g.map(spell, "at ", each(numbers(0, 5)), each(ends));
  REQUIRE(texts.size() == 5);
  CHECK(texts[0] == "at 00a");
  CHECK(texts[2] == "at 22" + ends[2]);
  CHECK(texts[4] == "at 44d");
}

TEST_CASE("map borrows spans and strings", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  const std::vector xs{1.0, 2.0, 3.5};
  CHECK(g.map(&Cell::sum, xs) == std::vector{6.5, 7.5, 8.5, 9.5});
  const std::vector<std::vector<double>> own{{}, {1}, {1, 2}, {1, 2, 3}};
  CHECK(g.map(&Cell::sum, each(own)) == std::vector{0.0, 2.0, 5.0, 9.0});
  CHECK(g.map(&Cell::label, "no. ") ==
        std::vector<std::string>{"no. 0", "no. 1", "no. 2", "no. 3"});
  CHECK(g.map(&Cell::label, each(std::vector<std::string>{"a", "bb", "", "d"})) ==
        std::vector<std::string>{"a0", "bb1", "2", "d3"});
}

TEST_CASE("map takes lambdas, generic ones too", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 3);
  CHECK(g.map([](const Cell& c) { return c.index * 2; }) == std::vector{0, 2, 4});
  CHECK(g.map([](auto& c, auto x) { return c.index + x; }, 0.5) == std::vector{0.5, 1.5, 2.5});
  CHECK(g.map([](auto& c, const auto& x) { return static_cast<std::size_t>(c.index) + x.size(); },
              each(std::vector<std::string>{"a", "ab", "abc"})) ==
        std::vector<std::size_t>{1, 3, 5});
  CHECK(g.map(apalis::by_value([k = 7](Cell& c, int x) { return c.index * k + x; }), 1) ==
        std::vector{1, 8, 15});
}

TEST_CASE("map of what gives nothing gives nothing", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 3);
  static_assert(std::is_void_v<decltype(g.map(&Cell::grow, 1))>);
  static_assert(std::is_same_v<decltype(g.start_map(&Cell::grow, 1)), Token<void>>);
  g.map(&Cell::grow, 1);
  g.map(&Cell::grow, each(numbers(1, 3)));
  g.start_map<&Cell::grow>(1).get();
  CHECK(g.map(&Cell::add, 0) == std::vector{3, 4, 5});
}

TEST_CASE("map gives move-only results", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  const auto all = g.map(&Cell::give);
  REQUIRE(all.size() == 5);
  for (int i = 0; i < 5; ++i) CHECK(*all[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("each() of a wrong length is an Error, and nothing is sent", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  CHECK_THROWS_AS(g.map(&Cell::add, each(numbers(0, 3))), Error);
  CHECK_THROWS_AS(g.map(&Cell::add, each(numbers(0, 5))), Error);
  CHECK_THROWS_AS(g.map(&Cell::add, each(std::vector<int>{})), Error);
  CHECK_THROWS_WITH(g.map(&Cell::add, each(numbers(0, 3))),
                    Catch::Matchers::ContainsSubstring("3 elements"));
  CHECK_THROWS_AS(g.map(&Cell::weigh, each(std::vector<double>(4)), each(numbers(0, 3))), Error);
  CHECK(g.map(&Cell::add, 0) == std::vector{0, 0, 0, 0});
}

TEST_CASE("a failing object leaves the others' results of a map reachable", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 8);
  try {
    g.map(&Cell::odd, each(numbers(0, 8)));
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 4);
    const auto& outcomes = e.outcomes<int>();
    REQUIRE(outcomes.size() == 8);
    for (int i = 0; i < 8; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      REQUIRE(outcome.has_value() == (i % 2 == 1));
      if (outcome) {
        CHECK(outcome.value() == i);
      } else {
        CHECK_THROWS_WITH(outcome.value(), "even " + std::to_string(i));
      }
    }
  }
  CHECK_THROWS_AS(g.map(&Cell::odd_only, 2), BatchError);
  CHECK(g.map(&Cell::odd, 1) == std::vector{1, 2, 1, 4, 1, 6, 1, 8});
}

TEST_CASE("an object whose factory throws fails its calls, and no others", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  apalis::GroupHandler<Cell> g{group_options(backend, 2), std::in_place, 6, [](std::size_t i) {
                                 if (i == 3) throw std::out_of_range("no number 3");
                                 return Cell{static_cast<int>(i)};
                               }};
  CHECK(g[5].call(&Cell::tell).get() == 5);
  CHECK_THROWS_AS(g[3].call(&Cell::tell).get(), std::out_of_range);
  CHECK_THROWS_AS(g[3].get(&Cell::total).get(), std::out_of_range);
  CHECK_THROWS_AS(g[3].copy().get(), std::out_of_range);
  try {
    g.map(&Cell::tell);
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.failures() == 1);
    const auto& outcomes = e.outcomes<int>();
    for (int i = 0; i < 6; ++i) {
      if (i != 3) CHECK(outcomes[static_cast<std::size_t>(i)].value() == i);
    }
    CHECK_THROWS_AS(outcomes[3].value(), std::out_of_range);
  }
  // Its arguments do not get in the way of the next one's.
  try {
    g.map(&Cell::label, each(std::vector<std::string>{"a", "b", "c", "d", "e", "f"}));
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.outcomes<std::string>()[5].value() == "f5");
  }
  std::vector<apalis::Call<Cell, int>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Cell::tell));
  const auto outcomes = g.run(calls, apalis::collect);
  CHECK(outcomes[1].value() == 1);
  CHECK(outcomes[5].value() == 5);
  CHECK_THROWS_AS(outcomes[3].value(), std::out_of_range);
  g[3].post(&Cell::grow, 1);
  CHECK_THROWS_AS(g.drain(), apalis::PostError);
}

TEST_CASE("a failing map leaves arguments that were not read behind", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 1, 3);
  // Cells 0 and 2 throw before they look at what each() gave them.
  const auto picky = [](Cell& c, const std::string& own) {
    if (c.index != 1) throw std::runtime_error("not me");
    return own;
  };
  try {
    g.map(picky, each(std::vector<std::string>{"x", "y", "z"}));
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    CHECK(e.outcomes<std::string>()[1].value() == "y");
  }
}

TEST_CASE("what can't be read of one object's arguments gives no other a wrong one", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 6);
  const std::vector<Picky> own{{0, "a"}, {1, "b"}, {-2, "c"}, {3, "d"}, {4, "e"}, {5, "f"}};
  const auto spell = [](Cell& c, const Picky& p) { return std::to_string(c.index) + p.text; };
  try {
    g.map(spell, each(own));
    FAIL("map() kept quiet");
  } catch (const BatchError& e) {
    const auto& outcomes = e.outcomes<std::string>();
    CHECK(outcomes[0].value() == "0a");
    CHECK(outcomes[1].value() == "1b");
    CHECK_THROWS_AS(outcomes[2].value(), std::domain_error);
    CHECK(outcomes[3].value() == "3d");
    CHECK_THROWS_AS(outcomes[4].value(), std::domain_error);  // behind it, in the same message
    CHECK(outcomes[5].value() == "5f");
  }
  CHECK_THROWS_AS(g.map(spell, own[2]), BatchError);
}

TEST_CASE("a map may be large in bytes", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  const std::string shared(5'000'000, 's');
  CHECK(g.map(&Cell::length, shared) == std::vector<std::size_t>(4, shared.size()));
  std::vector<std::string> own;
  for (std::size_t i = 0; i < 4; ++i) own.emplace_back(2'000'000 + i, 'o');
  CHECK(g.map(&Cell::length, each(own)) ==
        std::vector<std::size_t>{2'000'000, 2'000'001, 2'000'002, 2'000'003});
  const auto texts = g.map(&Cell::repeat, std::size_t{4'000'000});
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(texts[i] == std::string(4'000'000, static_cast<char>('a' + i)));
}

TEST_CASE("a group may hold a hundred thousand objects", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  constexpr std::size_t many = 100'000;
  auto g = cells(backend, 2, many);
  const auto own = numbers(0, many);
  CHECK(g.map(&Cell::tell) == own);
  CHECK(g.map(&Cell::add, each(own)) == own);
  const auto sums = g.map(&Cell::add, 1);
  CHECK(std::accumulate(sums.begin(), sums.end(), std::int64_t{0}) ==
        std::int64_t{many} * (many + 1) / 2);
  CHECK(g[many - 1].call(&Cell::tell).get() == static_cast<int>(many - 1));
}

TEST_CASE("several threads may use one group", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 6);
  std::vector<apalis::Call<Cell, int>> calls;
  for (auto object : g) calls.push_back(object.prepare(&Cell::tell));
  constexpr int rounds = 200;
  std::mutex mutex;
  int wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        int bad = 0;
        for (int i = 0; i < rounds; ++i) {
          switch ((t + static_cast<std::size_t>(i)) % 4) {
            case 0:
              bad += g.map(&Cell::tell) != numbers(0, 6);
              break;
            case 1:
              bad += g.run(calls) != numbers(0, 6);
              break;
            case 2:
              bad += g[t].call(&Cell::tell).get() != static_cast<int>(t);
              break;
            default:
              g[5].post(&Cell::grow, 1);
          }
        }
        const std::lock_guard lock{mutex};
        wrong += bad;
      });
  }
  CHECK(wrong == 0);
  CHECK(g[5].get(&Cell::total).get() == rounds);
}
