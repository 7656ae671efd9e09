// SPDX-License-Identifier: BSL-1.0
// Parallel map: what can be mapped by what, and what comes back.
#include <algorithm>
#include <array>
#include <cereal/types/string.hpp>
#include <cmath>
#include <cstdint>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engines.hpp"

using apalis::Engine;
using Catch::Matchers::ContainsSubstring;
using apalis::Error;
using apalis::MapError;
using namespace conformance;

namespace {

int twice(int x) { return 2 * x; }
std::string repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

struct Point {
  double x = 0;
  double y = 0;
  [[nodiscard]] double norm() const { return x * x + y * y; }
  [[nodiscard]] double scaled(double factor) const { return factor * norm(); }
};

/// Crosses by its own functions.
struct Power {
  int exponent = 1;
  std::string name;
  int operator()(int x) const {
    int result = 1;
    for (int i = 0; i < exponent; ++i) result *= x;
    return result;
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(exponent, name);
  }
};

/// Gives each number once, and counts how often it was asked to move.
class Countdown {
 public:
  explicit Countdown(int from) : left_(from) {}
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Countdown& all) : all_(&all) {}
    int operator*() const { return all_->left_; }
    Iterator& operator++() {
      --all_->left_;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t /*end*/) const { return all_->left_ == 0; }

   private:
    Countdown* all_ = nullptr;
  };
  Iterator begin() {
    if (begun_++ > 0) throw std::logic_error("begun twice");
    return Iterator{*this};
  }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
  [[nodiscard]] int left() const { return left_; }

 private:
  int left_;
  int begun_ = 0;
};

}  // namespace

TEST_CASE("map gives the results in the order of the items", "[engine]") {
  const auto kind = each_engine();
  const auto count = GENERATE(0, 1, 2, 7, 1000, 20'000);
  CAPTURE(kind, count);
  const Engine engine = make_engine(kind);
  const auto items = numbers(count);
  static_assert(std::is_same_v<decltype(engine.map(twice, items)), std::vector<int>>);
  const auto results = engine.map([](int x) { return x * x; }, items);
  REQUIRE(results.size() == items.size());
  for (std::size_t i = 0; i < items.size(); ++i) REQUIRE(results[i] == items[i] * items[i]);
}

TEST_CASE("an engine can be called like a function", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  CHECK(engine(twice, numbers(3)) == std::vector{0, 2, 4});
}

TEST_CASE("any callable maps", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto items = numbers(100);
  SECTION("a function") { CHECK(engine.map(twice, items)[50] == 100); }
  SECTION("a pointer to one") {
    auto* const pointer = &twice;
    CHECK(engine.map(pointer, items)[50] == 100);
  }
  SECTION("a generic closure") {
    CHECK(engine.map([](const auto& x) { return x + 1; }, items)[50] == 51);
  }
  SECTION("a function object with cereal functions") {
    CHECK(engine.map(Power{2, "square"}, items)[50] == 2500);
  }
  SECTION("a closure whose captures are sent by value") {
    CHECK(engine.map(apalis::by_value([k = 3](int x) { return k * x; }), items)[50] == 150);
  }
  SECTION("a member function of the items") {
    const std::vector<Point> points{{3, 4}, {5, 12}};
    CHECK(engine.map(&Point::norm, points) == std::vector{25.0, 169.0});
    CHECK(engine.map(&Point::scaled, points, 2.0) == std::vector{50.0, 338.0});
  }
  SECTION("a std::function") {
    const std::function<int(int)> f = [](int x) { return x + 7; };
    CHECK(engine.map(f, items)[50] == 57);
  }
  SECTION("a null function pointer is an error") {
    int (*const none)(int) = nullptr;
    CHECK_THROWS_AS(engine.map(none, items), Error);
    CHECK(engine.map(twice, items)[1] == 2);
  }
}

TEST_CASE("a closure takes along what it captured", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto items = numbers(1000);
  std::vector<int> table(1000, 5);
  int offset = 1;
  SECTION("by reference") {
    const auto f = [&](int x) { return table[static_cast<std::size_t>(x)] + offset; };
    CHECK(engine.map(f, items) == std::vector<int>(1000, 6));
    table[3] = 7;  // the next map sees it
    offset = 2;
    const auto again = engine.map(f, items);
    CHECK(again[2] == 7);
    CHECK(again[3] == 9);
  }
  SECTION("by value, what can't be sent") {
    auto owner = std::make_unique<std::vector<int>>(table);
    const auto f = [owner = std::move(owner)](int x) {
      return (*owner)[static_cast<std::size_t>(x)];
    };
    CHECK(engine.map(f, items) == table);
  }
  SECTION("as arguments") {
    CHECK(engine.map([](int x, const std::vector<int>& t) { return t[0] + x; }, items, table)[9] ==
          14);
  }
}

TEST_CASE("further arguments go to every call", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const std::vector<std::string> words{"a", "bc", "def"};
  CHECK(engine.map(repeat, words, 3) == std::vector<std::string>{"aaa", "bcbcbc", "defdefdef"});
  const auto joined = engine.map(
      [](const std::string& word, std::string_view before, std::span<const double> numbers,
         std::string copy) {
        copy += word;  // its own in each call
        return std::string(before) + copy + std::to_string(numbers.size());
      },
      words, "<", std::vector<double>(4), std::string("-"));
  CHECK(joined == std::vector<std::string>{"<-a4", "<-bc4", "<-def4"});
  const auto generic = engine.map(
      [](const auto& word, const auto& text, auto number) { return text + word + text[0] + char(number); },
      words, "xy", 'z');
  CHECK(generic[1] == "xybcxz");
}

TEST_CASE("a Ref among the arguments is sent once", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto table = apalis::put(std::vector<double>(100'000, 0.5));
  const auto sums = engine.map(
      [](int from, std::span<const double> xs) {
        return std::accumulate(xs.begin() + from, xs.end(), 0.0);
      },
      numbers(50), table);
  CHECK(sums[10] == (100'000 - 10) * 0.5);
}

TEST_CASE("items may be anything that crosses", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  SECTION("strings, read in place") {
    const std::list<std::string> words{"one", "three", "", "seven"};
    CHECK(engine.map([](std::string_view word) { return word.size(); }, words) ==
          std::vector<std::size_t>{3, 5, 0, 5});
  }
  SECTION("vectors of any size") {
    std::vector<std::vector<double>> items;
    for (const std::size_t n : {0U, 1U, 1000U, 100'000U, 10U}) items.emplace_back(n, 1.0);
    CHECK(engine.map([](std::span<const double> xs) { return xs.size(); }, items) ==
          std::vector<std::size_t>{0, 1, 1000, 100'000, 10});
    const auto back = engine.map([](std::vector<double> xs) { return xs; }, items);
    CHECK(back == items);
  }
  SECTION("what only moves") {
    std::vector<std::unique_ptr<int>> items;
    for (int i = 0; i < 100; ++i) items.push_back(std::make_unique<int>(i));
    const auto results = engine.map(
        [](std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); }, items);
    CHECK(*results[41] == 42);
    CHECK(*items[41] == 41);
    CHECK(engine.map([](const std::unique_ptr<int>& p) { return *p; }, items)[7] == 7);
  }
  SECTION("pairs of a map") {
    const std::map<std::string, int> items{{"a", 1}, {"b", 2}};
    CHECK(engine.map([](const std::pair<const std::string, int>& p) { return p.first +
                                                                std::to_string(p.second); },
                     items) == std::vector<std::string>{"a1", "b2"});
  }
  SECTION("what converts to the parameter") {
    CHECK(engine.map([](double x) { return x / 2; }, numbers(4)) ==
          std::vector{0.0, 0.5, 1.0, 1.5});
    const std::array<const char*, 2> words{"x", "yz"};
    CHECK(engine.map([](const std::string& s) { return s.size(); }, words) ==
          std::vector<std::size_t>{1, 2});
  }
  SECTION("bools") {
    const std::vector<bool> items{true, false, true};
    CHECK(engine.map([](bool b) { return !b; }, items) == std::vector{false, true, false});
  }
  SECTION("SharedArrays") {
    std::vector<apalis::SharedArray<int>> items;
    for (int i = 0; i < 4; ++i) items.emplace_back(10);
    engine.for_each([](apalis::SharedArray<int> a) { a[3] = 7; }, items);
    for (const auto& item : items) CHECK(item[3] == 7);
  }
}

TEST_CASE("any input range is read once", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  SECTION("a generator") {
    Countdown items{1000};
    const auto results = engine.map(twice, items);
    REQUIRE(results.size() == 1000);
    CHECK(results.front() == 2000);
    CHECK(results.back() == 2);
  }
  SECTION("a view of an endless one") {
    CHECK(engine.map(twice, std::views::iota(5) | std::views::take(3)) ==
          std::vector{10, 12, 14});
  }
  SECTION("a stream") {
    std::istringstream text("4 5 6");
    CHECK(engine.map(twice, std::ranges::istream_view<int>(text)) == std::vector{8, 10, 12});
  }
  SECTION("temporaries of a view") {
    const auto words = std::views::iota(0, 50) |
                       std::views::transform([](int i) { return std::string(std::size_t(i), 'x'); });
    CHECK(engine.map([](std::string s) { return s.size(); }, words)[49] == 49);
  }
  SECTION("a forward list") {
    const std::forward_list<int> items{1, 2, 3};
    CHECK(engine.map(twice, items) == std::vector{2, 4, 6});
  }
  SECTION("no more than length() says") {
    Countdown items{1000};
    CHECK(engine.map(twice, items, apalis::length(10)).size() == 10);
    CHECK(items.left() >= 990);
  }
  SECTION("length() may be too long") {
    CHECK(engine.map(twice, numbers(3), apalis::length(10)).size() == 3);
  }
}

TEST_CASE("batches may be asked for", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto items = numbers(100);
  const auto expected = engine.map(twice, items);
  CHECK(engine.map(twice, items, apalis::batched()) == expected);
  for (const int n : {1, 3, 7, 100, 1000}) {
    CHECK(engine.map(twice, items, apalis::batched(n)) == expected);
    CHECK(engine.map(twice, items, apalis::batch_size(n)) == expected);
  }
  Countdown generator{100};
  CHECK(engine.map(twice, generator, apalis::batched(4), apalis::length(100)).size() == 100);
}

TEST_CASE("options of a map that make no sense are errors", "[engine]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Engine engine{backend, {.max_workers = 2}};
  CHECK_THROWS_WITH(apalis::batched(0), ContainsSubstring("above 0, not 0"));
  CHECK_THROWS_WITH(apalis::batched(-3), ContainsSubstring("batched()"));
  CHECK_THROWS_AS(apalis::batch_size(0), Error);
  CHECK_THROWS_AS(apalis::length(-1), Error);
  CHECK_THROWS_WITH((Engine{backend, {.max_workers = 0}}), ContainsSubstring("max_workers"));
  CHECK_THROWS_AS((Engine{backend, {.max_workers = -2}}), Error);
  if (backend != apalis::Backend::serial) {
    Countdown generator{100};
    CHECK_THROWS_WITH(engine.map(twice, generator, apalis::batched(4)),
                      ContainsSubstring("say length(n) as well"));
  }
}

TEST_CASE("results may be nothing", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  apalis::SharedArray<int> seen(100);
  static_assert(std::is_void_v<decltype(engine.map([](int) {}, numbers(3)))>);
  engine.map([](int x, apalis::SharedArray<int> s) { s[static_cast<std::size_t>(x)] += 1; },
             numbers(100), seen);
  engine.for_each(
      [](int x, apalis::SharedArray<int> s) {
        s[static_cast<std::size_t>(x)] += 1;
        return static_cast<const void*>(s.data());  // nobody sees it: it need not be able to cross
      },
      numbers(100), seen);
  CHECK(seen.to_vector() == std::vector<int>(100, 2));
}

TEST_CASE("flat_map joins what the calls return", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  CHECK(engine.flat_map([](int n) { return std::vector<int>(static_cast<std::size_t>(n), n); },
                        numbers(4)) == std::vector{1, 2, 2, 3, 3, 3});
  CHECK(engine.flat_map([](int n) { return std::string(static_cast<std::size_t>(n), 'x'); },
                        numbers(3)) == std::vector{'x', 'x', 'x'});
}

TEST_CASE("map_reduce combines all results", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto items = numbers(10'000);
  CHECK(engine.map_reduce([](int x) { return std::int64_t{x}; }, std::plus<>{}, std::int64_t{100},
                          items) == 100 + 9999 * 5000);
  SECTION("in their order") {
    std::string expected = ">";
    for (int i = 0; i < 300; ++i) expected += std::to_string(i) + ",";
    CHECK(engine.map_reduce([](int x) { return std::to_string(x) + ","; }, std::plus<>{},
                            std::string(">"), numbers(300)) == expected);
  }
  SECTION("an op with captures") {
    int modulus = 1'000'003;
    const auto op = [&modulus](std::int64_t a, std::int64_t b) { return (a + b) % modulus; };
    CHECK(engine.map_reduce(twice, op, std::int64_t{0}, items) == (9999LL * 10'000) % modulus);
  }
  SECTION("nothing gives what it began with") {
    CHECK(engine.map_reduce(twice, std::plus<>{}, 7, std::vector<int>{}) == 7);
  }
  SECTION("with rounding that does not depend on workers") {
    const auto f = [](int x) { return 1.0 / (1 + x); };
    const double sum = engine.map_reduce(f, std::plus<>{}, 0.0, items, apalis::deterministic);
    const Engine two{apalis::Backend::processes, {.max_workers = 2}};
    const Engine five{apalis::Backend::threads, {.max_workers = 5}};
    if (!runs_here(kind)) {
      CHECK(two.map_reduce(f, std::plus<>{}, 0.0, items, apalis::deterministic) == sum);
      CHECK(five.map_reduce(f, std::plus<>{}, 0.0, items, apalis::deterministic) == sum);
    }
    CHECK(std::abs(sum - 9.78760603604) < 1e-9);
  }
}

TEST_CASE("seeds depend on the item alone", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto f = [](int x, std::uint64_t seed) { return std::pair{x, seed}; };
  const auto results = engine.map(f, numbers(500), apalis::seeds(42));
  for (std::size_t i = 0; i < results.size(); ++i)
    REQUIRE(results[i] == std::pair{static_cast<int>(i), apalis::item_seed(42, i)});
  CHECK(engine.map(f, numbers(500), apalis::seeds(42), apalis::batch_size(7)) == results);
  CHECK(engine.map(f, numbers(500), apalis::seeds(43)) != results);
}

TEST_CASE("each worker may have a state", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  struct Counter {
    int made_by = 0;
    int calls = 0;
  };
  SECTION("made by a callable that is sent") {
    const auto counting = engine.with_state<Counter>([] { return Counter{1, 0}; });
    const auto f = [](Counter& counter, int x) { return counter.made_by * x + 0 * ++counter.calls; };
    CHECK(counting.map(f, numbers(100))[99] == 99);
    const auto calls = counting.map([](const Counter& counter, int) { return counter.calls; },
                                    numbers(100));
    CHECK(*std::ranges::max_element(calls) <= 100);
    CHECK(*std::ranges::max_element(calls) > 0);  // it is there still
  }
  SECTION("made by one that is carried") {
    int mark = 5;
    const auto counting = engine.with_state<Counter>([&mark] { return Counter{mark, 0}; });
    CHECK(counting.map([](Counter& counter, int x) { return counter.made_by + x; },
                       numbers(3)) == std::vector{5, 6, 7});
  }
}

TEST_CASE("the states end with the engine that made them", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  struct Counted {
    explicit Counted(apalis::SharedArray<int> all) : alive(std::move(all)) { add(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { add(-1); }
    void add(int by) { std::atomic_ref(alive.data()[0]).fetch_add(by); }
    apalis::SharedArray<int> alive;
  };
  Engine engine = make_engine(kind);
  apalis::SharedArray<int> alive(1);
  for (int round = 0; round < 3; ++round) {
    const auto stateful = engine.with_state<std::unique_ptr<Counted>>(
        [&alive] { return std::make_unique<Counted>(alive); });
    (void)stateful.map([](std::unique_ptr<Counted>&, int x) { return x; }, numbers(100));
  }
  engine.close();
  CHECK(alive[0] == 0);
  const auto sent = engine.with_state<std::vector<int>>([] { return std::vector<int>(1000); });
  CHECK(sent.map([](std::vector<int>& state, int x) { return static_cast<int>(state.size()) + x; },
                 numbers(3)) == std::vector{1000, 1001, 1002});
}

TEST_CASE("length() may be any number", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  Countdown items{100};
  CHECK(engine.map(twice, items, apalis::length(1'000'000'000'000'000)).size() == 100);
}

// --- Failures ------------------------------------------------------------------------------------

TEST_CASE("the first item that fails ends the map", "[engine]") {
  const auto kind = each_engine();
  const auto bad = GENERATE(0, 1, 57, 999);
  CAPTURE(kind, bad);
  const Engine engine = make_engine(kind);
  const auto f = [](int x, int from) {
    if (x >= from) throw std::out_of_range("item of value " + std::to_string(x));
    return x;
  };
  try {
    (void)engine.map(f, numbers(1000), bad);
    FAIL("nothing was thrown");
  } catch (const MapError& error) {
    const auto index = static_cast<std::uint64_t>(bad);
    CHECK(error.index() == index);
    CHECK(error.last_index() == index);
    CHECK(contains(error.what(), "item " + std::to_string(bad) + " of the map failed"));
    CHECK(contains(error.what(), "item of value " + std::to_string(bad)));
    CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::out_of_range);
  }
  CHECK(engine.map(twice, numbers(10))[9] == 18);  // the workers go on
}

TEST_CASE("failures may be collected", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto outcomes = engine.map(
      [](int x) {
        if (x % 10 == 3) throw std::domain_error("three");
        return x;
      },
      numbers(1000), apalis::collect);
  static_assert(std::is_same_v<decltype(outcomes), const std::vector<apalis::Outcome<int>>>);
  REQUIRE(outcomes.size() == 1000);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    REQUIRE(outcomes[i].has_value() == (i % 10 != 3));
    if (i % 10 == 3) {
      CHECK_THROWS_AS(outcomes[i].value(), std::domain_error);
    } else {
      REQUIRE(outcomes[i].value() == static_cast<int>(i));
    }
  }
  const auto nothings = engine.map([](int x) { if (x == 1) throw std::domain_error("one"); },
                                   numbers(3), apalis::collect);
  CHECK(nothings[0].has_value());
  CHECK_FALSE(nothings[1].has_value());
}

TEST_CASE("what the range throws comes out as it is", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  const auto items = std::views::iota(0, 1000) | std::views::transform([](int i) {
                       if (i == 500) throw std::length_error("the range");
                       return i;
                     });
  CHECK_THROWS_AS(engine.map(twice, items), std::length_error);
  CHECK_THROWS_AS(engine.map(twice, items, apalis::collect), std::length_error);
  CHECK(engine.map(twice, numbers(10))[9] == 18);
}

TEST_CASE("results that can't be read back are the item's failure or the map's", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  CHECK_THROWS_AS(engine.map([](int x) -> std::vector<std::string> {
                    if (x == 5) throw 42;  // no std::exception
                    return {std::to_string(x)};
                  },
                             numbers(10)),
                  MapError);
}

// --- imap ----------------------------------------------------------------------------------------

TEST_CASE("imap gives the results as a range", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  SECTION("in order") {
    int expected = 0;
    for (int& x : engine.imap(twice, numbers(5000))) {
      REQUIRE(x == 2 * expected);
      ++expected;
    }
    CHECK(expected == 5000);
  }
  SECTION("without order") {
    std::vector<int> results;
    for (const int x : engine.imap_unordered(twice, numbers(5000))) results.push_back(x);
    std::ranges::sort(results);
    REQUIRE(results.size() == 5000);
    for (int i = 0; i < 5000; ++i) REQUIRE(results[static_cast<std::size_t>(i)] == 2 * i);
  }
  SECTION("of an endless range, as far as it is read") {
    int sum = 0;
    for (const int x : engine.imap(twice, std::views::iota(0))) {
      if (x > 1000) break;
      sum += x;
    }
    CHECK(sum == 2 * 500 * 501 / 2);
    CHECK(engine.map(twice, numbers(10))[9] == 18);
  }
  SECTION("of an lvalue range") {
    const auto items = numbers(100);
    auto results = engine.imap([](int x, const std::string& s) { return s + std::to_string(x); },
                               items, "n");
    auto at = results.begin();
    CHECK(*at == "n0");
    ++at;
    CHECK(at->size() == 2);
  }
  SECTION("of nothing") {
    for (const int x : engine.imap(twice, std::vector<int>{})) FAIL(x);
  }
  SECTION("with captures") {
    int k = 3;
    int last = 0;
    for (const int x : engine.imap([&k](int x) { return k * x; }, numbers(100))) last = x;
    CHECK(last == 297);
  }
  SECTION("up to the item that fails") {
    int seen = 0;
    const auto read = [&] {
      for (const int x : engine.imap(
               [](int x) {
                 if (x == 300) throw std::domain_error("300");
                 return x;
               },
               numbers(1000)))
        seen = x;
    };
    CHECK_THROWS_AS(read(), MapError);
    CHECK(seen == 299);
  }
}

// --- The engine ----------------------------------------------------------------------------------

TEST_CASE("maps may be nested", "[engine]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const Engine engine{backend, {.max_workers = 2}};
  const auto sums = engine.map(
      [&engine](int n) {
        const auto inner = engine.map([](int x) { return x + 1; }, numbers(n));
        const Engine own{apalis::Backend::processes, {.max_workers = 4}};
        const auto more = own.map([n](int x) { return x * n; }, numbers(n));
        return std::accumulate(inner.begin(), inner.end(), 0) +
               std::accumulate(more.begin(), more.end(), 0);
      },
      numbers(20));
  for (int n = 0; n < 20; ++n)
    CHECK(sums[static_cast<std::size_t>(n)] == n * (n + 1) / 2 + n * n * (n - 1) / 2);
}

TEST_CASE("start hooks run once in each worker, before its calls", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  static thread_local int started = 0;  // the caller's counts for an engine without workers
  started = 0;
  Engine engine = make_engine(kind);
  CHECK(engine.map(twice, numbers(3))[2] == 4);
  engine.on_worker_start([](int by) { started += by; }, 5);
  const auto seen = engine.map([](int) { return started; }, numbers(200));
  CHECK(seen == std::vector<int>(200, 5));
  int here = 7;
  engine.on_worker_start([&here] { started *= here; });  // carried
  CHECK(engine.map([](int) { return started; }, numbers(200)) == std::vector<int>(200, 35));
  CHECK(engine.map([&here](int) { return started + 0 * here; }, numbers(3)) ==
        std::vector<int>(3, 35));
}

TEST_CASE("a start hook that throws fails the map", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  Engine engine = make_engine(kind);
  engine.on_worker_start([] { throw std::runtime_error("no licence"); });
  CHECK_THROWS_WITH(engine.map(twice, numbers(10)), ContainsSubstring("no licence"));
  CHECK_THROWS_WITH(engine.map(twice, numbers(10)), ContainsSubstring("no licence"));
}

TEST_CASE("stop hooks run in each worker before it ends", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  apalis::SharedArray<int> stopped(1);
  {
    Engine engine = make_engine(kind);
    engine.on_worker_stop(
        [](apalis::SharedArray<int> s) { std::atomic_ref(s.data()[0]).fetch_add(1); }, stopped);
    CHECK(engine.map(twice, numbers(5000))[2] == 4);
    CHECK(stopped[0] == 0);
  }
  CHECK(stopped[0] >= 1);
  CHECK(stopped[0] <= kind.workers);
}

TEST_CASE("a map reports what its workers did", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  const Engine engine = make_engine(kind);
  CHECK(engine.report().items == 0);
  CHECK(engine.map(twice, numbers(1000), apalis::batch_size(30))[1] == 2);
  const auto report = engine.report();
  CHECK(report.items == 1000);
  CHECK(report.wall_seconds > 0);
  CHECK(report.backend == (runs_here(kind) ? apalis::Backend::serial : kind.backend));
  REQUIRE_FALSE(report.workers.empty());
  REQUIRE(report.workers.size() <= static_cast<std::size_t>(kind.workers));
  std::size_t items = 0;
  for (const auto& worker : report.workers) {
    items += worker.items;
    CHECK(worker.peak_memory_bytes > 0);
    CHECK(worker.busy_seconds + worker.idle_seconds + worker.overhead_seconds ==
          Catch::Approx(report.wall_seconds));
  }
  CHECK(items == 1000);
  if (!runs_here(kind)) {
    CHECK(report.batches == 34);
    CHECK(report.smallest_batch == 10);
    CHECK(report.median_batch == 30);
    CHECK(report.largest_batch == 30);
  }
  CHECK(contains(apalis::to_json(report), "\"items\":1000"));
}

TEST_CASE("a map says how far it is", "[engine]") {
  const auto kind = each_engine();
  CAPTURE(kind);
  std::vector<apalis::ProgressReport> reports;
  const Engine engine{kind.backend,
                      {.max_workers = kind.workers,
                       .progress = [&](const apalis::ProgressReport& r) { reports.push_back(r); }}};
  CHECK(engine.map(twice, numbers(500))[1] == 2);
  REQUIRE_FALSE(reports.empty());
  CHECK(reports.back().finished);
  CHECK(reports.back().done == 500);
  CHECK(reports.back().total == 500U);
  reports.clear();
  Countdown unsized{70};
  for (const int x : engine.imap(twice, unsized)) CHECK(x > 0);
  CHECK(reports.back().done == 70);
  CHECK_FALSE(reports.back().total.has_value());
}

TEST_CASE("an engine is named by what there is", "[engine]") {
  CHECK(Engine{"serial"}.backend() == apalis::Backend::serial);
  CHECK(Engine{"multiproc"}.backend() == apalis::Backend::processes);
  CHECK(Engine{"loky"}.backend() == apalis::Backend::processes);
  CHECK(Engine{"multithread"}.backend() == apalis::Backend::threads);
  CHECK_THROWS_WITH(Engine{"dask"}, ContainsSubstring("'processes' on one machine"));
  CHECK_THROWS_WITH(Engine{"kubernetes"}, ContainsSubstring("'mpi' on several"));
  CHECK_THROWS_WITH(Engine{"Processes"}, ContainsSubstring("use 'processes', 'threads'"));
}

TEST_CASE("workers are made when they are needed, and end when they are idle", "[engine]") {
  Engine engine{apalis::Backend::processes,
                {.max_workers = 3, .idle_timeout = std::chrono::milliseconds{1}}};
  CHECK(engine.pids().empty());
  (void)engine.map(twice, numbers(1));
  CHECK(engine.pids().size() <= 1);
  (void)engine.map([](int x) { return x; }, numbers(3), apalis::batch_size(1));
  const auto before = engine.pids().size();
  CHECK(before <= 3);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!engine.pids().empty() && std::chrono::steady_clock::now() < deadline)
    engine.end_idle_workers();
  CHECK(engine.pids().empty());
  CHECK(engine.map(twice, numbers(5)) == std::vector{0, 2, 4, 6, 8});
  engine.close();
  CHECK(engine.map(twice, numbers(2)) == std::vector{0, 2});
}

TEST_CASE("an engine that was moved from says so", "[engine]") {
  Engine engine{apalis::Backend::serial};
  const Engine other = std::move(engine);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
  CHECK_THROWS_WITH(engine.map(twice, numbers(2)), ContainsSubstring("moved from"));
  CHECK(other.map(twice, numbers(2)) == std::vector{0, 2});
}
