// SPDX-License-Identifier: BSL-1.0
// Prepared calls, one by one and many in a message: prepare, run, multiple_run.
#include <array>
#include <list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Call;
using apalis::Token;
using namespace conformance;

namespace {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  int subtract(int x) { return total -= x; }
  void reset() { total = 0; }
  void grow(int x) { total += x; }
  std::size_t length(const std::string& s) const { return s.size(); }
  std::string text(std::size_t n) const { return std::string(n, 't'); }
  std::unique_ptr<int> give(int x) const { return std::make_unique<int>(x); }
  double sum(std::span<const double> xs) const {
    double s = 0;
    for (double x : xs) s += x;
    return s;
  }
  int odd(int x) {
    if (x % 2 == 0) throw std::domain_error("even " + std::to_string(x));
    return ++total, x;
  }
  void odd_only(int x) { odd(x); }
};

}  // namespace

TEST_CASE("a prepared call runs as often as one likes", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto c = h.prepare(&Subject::add, 2);
  static_assert(std::is_same_v<decltype(c), Call<Subject, int>>);
  std::vector<Call<Subject, int>> calls;
  calls.push_back(std::move(c));
  static_assert(std::is_same_v<decltype(h.run(calls)), std::vector<int>>);
  for (int i = 1; i <= 5; ++i) CHECK(h.run(calls) == std::vector<int>{2 * i});
}

TEST_CASE("a prepared call owns its bytes", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, std::size_t>> calls;
  std::vector<Call<Subject, double>> sums;
  {
    std::string text(5000, 'x');
    std::vector<double> numbers{1, 2, 3};
    calls.push_back(h.prepare(&Subject::length, text));
    sums.push_back(h.prepare(&Subject::sum, numbers));
    text.clear();
    numbers.assign(3, 100.0);
  }
  CHECK(h.run(calls) == std::vector<std::size_t>{5000});
  CHECK(h.run(sums) == std::vector<double>{6});
}

TEST_CASE("a prepared call is sent only by run", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  { auto never = h.prepare(&Subject::add, 100); }
  CHECK(h.get(&Subject::total).get() == 0);
}

TEST_CASE("run gives the results in the order of the calls", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, int>> calls;
  for (int i = 0; i < 1000; ++i) calls.push_back(h.prepare(&Subject::add, i));
  const auto results = h.run(calls);
  REQUIRE(results.size() == 1000);
  int sum = 0;
  bool same = true;
  for (int i = 0; i < 1000; ++i) {
    sum += i;
    same = same && results[static_cast<std::size_t>(i)] == sum;
  }
  CHECK(same);
}

TEST_CASE("a range may mix methods of one result type", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, int>> calls;
  calls.push_back(h.prepare(&Subject::add, 10));
  calls.push_back(h.prepare(&Subject::subtract, 3));
  calls.push_back(h.prepare([](Subject& s, int k) { return s.total * k; }, 2));
  CHECK(h.run(calls) == std::vector<int>{10, 7, 14});
}

TEST_CASE("any range of calls can be run", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::array<Call<Subject, int>, 2> array{h.prepare(&Subject::add, 1), h.prepare(&Subject::add, 2)};
  CHECK(h.run(array) == std::vector<int>{1, 3});
  CHECK(h.run(std::span(array).first(1)) == std::vector<int>{4});
  std::list<Call<Subject, int>> list;
  list.push_back(h.prepare(&Subject::add, 5));
  const auto& constant = list;
  CHECK(h.run(constant) == std::vector<int>{9});
}

TEST_CASE("a batch of void calls gives nothing but waits", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, void>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(h.prepare(&Subject::grow, 2));
  static_assert(std::is_void_v<decltype(h.run(calls))>);
  static_assert(std::is_same_v<decltype(h.multiple_run(calls)), Token<void>>);
  h.run(calls);
  CHECK(h.get(&Subject::total).get() == 20);
  h.multiple_run(calls).get();
  CHECK(h.get(&Subject::total).get() == 40);
}

TEST_CASE("multiple_run gives one token of all results", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, std::string>> calls;
  for (std::size_t i = 0; i < 50; ++i) calls.push_back(h.prepare(&Subject::text, i * 10));
  auto t = h.multiple_run(calls);
  static_assert(std::is_same_v<decltype(t), Token<std::vector<std::string>>>);
  calls.clear();
  const auto& results = t.get();
  REQUIRE(results.size() == 50);
  for (std::size_t i = 0; i < 50; ++i) CHECK(results[i].size() == i * 10);
}

TEST_CASE("several batches may be in flight", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, int>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(h.prepare(&Subject::add, 1));
  std::vector<Token<std::vector<int>>> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(h.multiple_run(calls));
  for (std::size_t i = tokens.size(); i-- > 0;)
    CHECK(tokens[i].get().back() == 100 * (static_cast<int>(i) + 1));
}

TEST_CASE("batches keep their place among the calls", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, int>> calls;
  calls.push_back(h.prepare(&Subject::add, 1));
  calls.push_back(h.prepare(&Subject::add, 1));
  h.post(&Subject::add, 10);
  auto batch = h.multiple_run(calls);
  auto after = h.call(&Subject::add, 100);
  CHECK(batch.get() == std::vector<int>{11, 12});
  CHECK(after.get() == 112);
}

TEST_CASE("an empty batch gives no results", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const std::vector<Call<Subject, int>> none;
  CHECK(h.run(none).empty());
  CHECK(h.multiple_run(none).get().empty());
  CHECK(h.call(&Subject::add, 1).get() == 1);
}

TEST_CASE("move-only results come back from a batch", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, std::unique_ptr<int>>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(h.prepare(&Subject::give, i));
  const auto results = h.run(calls);
  REQUIRE(results.size() == 5);
  CHECK(*results[4] == 4);
}

TEST_CASE("a batch may be large in calls and in bytes", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, std::size_t>> calls;
  for (std::size_t i = 0; i < 20'000; ++i)
    calls.push_back(h.prepare(&Subject::length, std::string(i % 100, 'a')));
  for (std::size_t i = 0; i < 200; ++i)
    calls.push_back(h.prepare(&Subject::length, std::string(100'000 + i, 'b')));
  const auto lengths = h.run(calls);
  REQUIRE(lengths.size() == 20'200);
  bool same = true;
  for (std::size_t i = 0; i < 20'000; ++i) same = same && lengths[i] == i % 100;
  for (std::size_t i = 0; i < 200; ++i) same = same && lengths[20'000 + i] == 100'000 + i;
  CHECK(same);
}

TEST_CASE("a call that was prepared by one handler runs on another of the same type", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto one = on<Subject>(backend, 1);
  auto two = on<Subject>(backend, 2);
  std::vector<Call<Subject, int>> calls;
  calls.push_back(one.prepare(&Subject::add, 10));
  one.close();
  CHECK(two.run(calls) == std::vector<int>{12});
}

TEST_CASE("a failing call of a batch leaves the others their results", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, int>> calls;
  for (int i = 1; i <= 6; ++i) calls.push_back(h.prepare(&Subject::odd, i));
  try {
    h.run(calls);
    FAIL("run() kept quiet");
  } catch (const apalis::BatchError& e) {
    CHECK(e.failures() == 3);
    const auto& outcomes = e.outcomes<int>();
    REQUIRE(outcomes.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
      const int x = static_cast<int>(i) + 1;
      CHECK(outcomes[i].has_value() == (x % 2 == 1));
      if (outcomes[i].has_value()) {
        CHECK(outcomes[i].value() == x);
        CHECK(outcomes[i].error() == nullptr);
      } else {
        CHECK_THROWS_AS(outcomes[i].value(), std::domain_error);
        try {
          std::rethrow_exception(outcomes[i].error());
        } catch (const std::domain_error& inner) {
          CHECK(std::string(inner.what()) == "even " + std::to_string(x));
          CHECK(dynamic_cast<const apalis::RemoteError*>(&inner) != nullptr);
        }
      }
    }
    CHECK_THROWS_AS(e.outcomes<double>(), std::invalid_argument);
  }
  CHECK(h.get(&Subject::total).get() == 3);
}

TEST_CASE("a failing batch of void calls tells which", "[batches]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Call<Subject, void>> calls;
  for (int i = 1; i <= 4; ++i) calls.push_back(h.prepare(&Subject::odd_only, i));
  auto t = h.multiple_run(calls);
  try {
    t.get();
    FAIL("get() kept quiet");
  } catch (const apalis::BatchError& e) {
    CHECK(e.failures() == 2);
    const auto& outcomes = e.outcomes<void>();
    REQUIRE(outcomes.size() == 4);
    CHECK(outcomes[0].has_value());
    CHECK_FALSE(outcomes[1].has_value());
    CHECK_THROWS_AS(outcomes[3].value(), std::domain_error);
  }
  CHECK_THROWS_AS(t.get(), apalis::BatchError);
}
