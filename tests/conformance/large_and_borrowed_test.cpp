// SPDX-License-Identifier: BSL-1.0
// Messages of any size, and parameters that borrow from the message instead of copying it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "echo.hpp"

using apalis::Token;
using namespace conformance;

namespace {

constexpr std::size_t megabyte = 1'000'000;

struct Statistics {
  int calls = 0;
  double mean(std::span<const double> xs) const {
    return xs.empty() ? 0
                      : std::accumulate(xs.begin(), xs.end(), 0.0) / static_cast<double>(xs.size());
  }
  double dot(std::span<const double> a, std::span<const double> b) const {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }
  std::size_t words(std::string_view text) const {
    std::size_t n = 0;
    bool inside = false;
    for (char c : text) {
      n += !inside && c != ' ';
      inside = c != ' ';
    }
    return n;
  }
  std::string reversed(std::string_view text) const { return {text.rbegin(), text.rend()}; }
};

struct Point {
  double x = 0, y = 0;
};
struct alignas(64) Line {
  std::uint8_t bytes[64] = {};
};

template <class T>
std::size_t misalignment(std::span<const T> xs) {
  return reinterpret_cast<std::uintptr_t>(xs.data()) % alignof(T);
}

std::vector<int> pattern(std::size_t n) {
  std::vector<int> v(n);
  std::iota(v.begin(), v.end(), 1);
  return v;
}

}  // namespace

TEST_CASE("a 5 MB vector goes both ways", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto v = pattern(5 * megabyte / sizeof(int));
  CHECK((echo(h, v) == v));
  CHECK(h.call([](Echo&, const std::vector<int>& x) { return x.back(); }, v).get() == v.back());
  CHECK(h.call([](Echo&, std::size_t n) { return std::vector<char>(n, 'x'); }, 5 * megabyte)
            .get()
            .size() == 5 * megabyte);
}

TEST_CASE("a 64 MB vector goes both ways", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto v = pattern((64UL << 20) / sizeof(int));
  CHECK((echo(h, v) == v));
}

TEST_CASE("large values that need an archive go both ways", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const std::vector<std::string> v(300, std::string(100'000, 's'));
  CHECK((echo(h, v) == v));
  CHECK(echo(h, std::string(40 * megabyte, 't')).size() == 40 * megabyte);
}

TEST_CASE("large messages may be in flight together, both ways", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto v = pattern(2 * megabyte / sizeof(int));
  std::vector<Token<std::vector<int>>> tokens;
  for (int i = 0; i < 20; ++i)
    tokens.push_back(h.call([](Echo&, std::vector<int> x) { return x; }, v));
  for (std::size_t i = tokens.size(); i-- > 0;) CHECK((tokens[i].get() == v));
}

TEST_CASE("every size around the powers of two goes both ways", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  for (std::size_t power = 16; power <= (1U << 21); power *= 2) {
    for (std::size_t n = power - 9; n <= power + 9; n += 3) {
      CAPTURE(n);
      std::string s(n, 'a');
      s.back() = 'z';
      CHECK((echo(h, s) == s));
    }
  }
}

// Not part of a default run: it needs about 12 GB of memory.
TEST_CASE("a 3 GB vector goes both ways", "[.][huge]") {
  auto h = on<Echo>(apalis::Backend::processes);
  std::vector<std::uint64_t> v(3'000'000'000 / sizeof(std::uint64_t));
  std::iota(v.begin(), v.end(), 1U);
  const auto back = echo(h, std::move(v));
  REQUIRE(back.size() == 3'000'000'000 / sizeof(std::uint64_t));
  bool same = true;
  for (std::size_t i = 0; i < back.size(); ++i) same = same && back[i] == i + 1;
  CHECK(same);
}

// --- What is attached to a message instead of copied into it --------------------------------------

namespace {

/// Can't be read back.
struct Unreadable {
  template <class Archive>
  void save(Archive& archive) const {
    archive(1);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::domain_error("unreadable");
  }
};

template <std::size_t size>
struct Chunk {
  std::uint32_t number = 0;
  std::array<std::uint8_t, size - sizeof(std::uint32_t)> rest{};
  bool operator==(const Chunk&) const = default;
};

template <std::size_t size>
void check_chunks(apalis::Backend backend) {
  CAPTURE(size);
  auto h = on<Echo>(backend);
  std::vector<Chunk<size>> chunks(3 * megabyte / size);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    chunks[i].number = static_cast<std::uint32_t>(i);
    chunks[i].rest.back() = static_cast<std::uint8_t>(i);
  }
  CHECK((echo(h, chunks) == chunks));
}

/// Its large parts are its own, an argument's, or made by the call.
struct Keeper {
  std::vector<int> kept;
  int calls = 0;

  const std::vector<int>& own() const { return kept; }
  apalis::View<int> look() const { return kept; }
  const std::vector<int>& same(const std::vector<int>& xs) { return xs; }
  std::vector<int>&& given(std::vector<int> xs) {
    kept = std::move(xs);
    return std::move(kept);
  }
  void keep(std::vector<int> xs) {
    kept = std::move(xs);
    ++calls;
  }
  std::size_t both(int before, const std::vector<int>& xs, std::string_view text, char between,
                   std::span<const double> ys, const std::string& last) const {
    return before == 1 && between == 'b' && ys.back() == 2.5 && text.back() == 'v' &&
                   last.back() == 'l' && misalignment(ys) == 0
               ? xs.size() + text.size() + ys.size() + last.size()
               : 0;
  }
  std::size_t never(const Unreadable&, const std::vector<int>& xs) { return xs.size(); }
};

}  // namespace

TEST_CASE("large and small arguments may stand in any order", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Keeper>(backend);
  const auto xs = pattern(megabyte);
  std::string text(200'000, 't');
  text.back() = 'v';
  std::vector<double> ys(300'000, 1.0);
  ys.back() = 2.5;
  std::string last(100'000, 's');
  last.back() = 'l';
  for (int round = 0; round < 3; ++round)
    CHECK(h.call(&Keeper::both, 1, xs, text, 'b', ys, last).get() ==
          xs.size() + text.size() + ys.size() + last.size());
}

TEST_CASE("elements of any size arrive whole", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  check_chunks<12>(backend);
  check_chunks<100>(backend);
  check_chunks<4096>(backend);
  check_chunks<5000>(backend);
  check_chunks<100'000>(backend);
}

TEST_CASE("an argument is the caller's again once call() has returned", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  auto v = pattern(megabyte);
  auto first = h.call([](Echo&, const std::vector<int>& x) { return x.front() + x.back(); }, v);
  const int expected = v.front() + v.back();
  v.assign(v.size(), -1);
  CHECK(first.get() == expected);
  auto second = h.call([](Echo&, std::vector<int> x) { return x; }, pattern(megabyte));
  CHECK((second.get() == pattern(megabyte)));
}

TEST_CASE("an argument that is converted on its way may be large", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const std::string text(megabyte, 'c');
  CHECK(h.call([](Echo&, std::string s) { return s.size(); }, text.c_str()).get() == megabyte);
}

TEST_CASE("what can't be read costs its call only, whatever is attached to it", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Keeper>(backend);
  const auto xs = pattern(megabyte);
  auto never = h.call(&Keeper::never, Unreadable{}, xs);
  h.post(&Keeper::never, Unreadable{}, xs);
  auto after = h.call(&Keeper::same, xs);
  CHECK_THROWS_AS(never.get(), std::domain_error);
  CHECK((after.get() == xs));
  CHECK_THROWS_AS(h.drain(), apalis::PostError);
}

TEST_CASE("a large result may be a reference, to whatever", "[large]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Keeper>(backend);
  const auto xs = pattern(megabyte);
  CHECK((h.call(&Keeper::same, xs).get() == xs));
  CHECK((h.call(&Keeper::given, xs).get() == xs));
  h.post(&Keeper::keep, xs);
  CHECK((h.call(&Keeper::own).get() == xs));
  CHECK((h.get(&Keeper::kept).get() == xs));
  h.set(&Keeper::kept, pattern(2 * megabyte));
  CHECK((h.call(&Keeper::own).get() == pattern(2 * megabyte)));
  CHECK(h.get(&Keeper::calls).get() == 1);
}

TEST_CASE("a View is sent from where it looks, and outlives its worker", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const auto size = GENERATE(std::size_t{0}, std::size_t{3}, std::size_t{70'000}, megabyte);
  CAPTURE(size);
  apalis::View<int> view;
  {
    auto h = on<Keeper>(backend, pattern(size));
    view = h.call(&Keeper::look).get();
    h.call(&Keeper::keep, std::vector<int>{}).get();
    CHECK(h.call(&Keeper::look).get().empty());
  }
  REQUIRE(view.size() == size);
  const auto copy = view;  // of the lease
  CHECK(copy.data() == view.data());
  CHECK((std::vector<int>(view.begin(), view.end()) == pattern(size)));
  CHECK_THROWS_WITH((void)view.at(size),
                    Catch::Matchers::ContainsSubstring("of " + std::to_string(size)));
  if (size > 0) CHECK(view.at(size - 1) == view[size - 1]);
}

TEST_CASE("a span parameter reads the argument in place", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Statistics>(backend);
  const std::vector<double> v{1, 2, 3, 4};
  const double c_array[] = {2.0, 4.0};
  const std::array<double, 2> array{6.0, 8.0};
  CHECK(h.call(&Statistics::mean, v).get() == 2.5);
  CHECK(h.call(&Statistics::mean, std::span<const double>(v).first(2)).get() == 1.5);
  CHECK(h.call(&Statistics::mean, c_array).get() == 3);
  CHECK(h.call(&Statistics::mean, array).get() == 7);
  CHECK(h.call(&Statistics::mean, std::span<const double>{}).get() == 0);
  CHECK(h.call<&Statistics::mean>(v).get() == 2.5);
  CHECK(h.call(&Statistics::dot, v, v).get() == 30);
  CHECK(h.call<&Statistics::dot>(v, v).get() == 30);
}

TEST_CASE("a string_view parameter reads the argument in place", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Statistics>(backend);
  CHECK(h.call(&Statistics::words, "one two  three").get() == 3);
  CHECK(h.call(&Statistics::words, std::string("one two")).get() == 2);
  CHECK(h.call(&Statistics::words, std::string_view("")).get() == 0);
  CHECK(h.call<&Statistics::words>("one two  three").get() == 3);
  CHECK(h.call<&Statistics::reversed>(std::string("abc")).get() == "cba");
}

TEST_CASE("borrowed elements are aligned whatever stands before them", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const std::vector<double> doubles{1, 2, 3};
  const std::vector<Line> lines(3);
  for (std::size_t n = 0; n < 70; ++n) {
    CAPTURE(n);
    const std::string before(n, 'b');
    CHECK(h.call(
               [](Echo&, const std::string& s, std::span<const double> xs) {
                 return misalignment(xs) == 0 && xs.size() == 3 && xs[2] == 3 ? s.size()
                                                                              : 1'000'000;
               },
               before, doubles)
              .get() == n);
    CHECK(h.call(
               [](Echo&, std::string_view s, char, std::span<const Line> xs) {
                 return misalignment(xs) == 0 && xs.size() == 3 ? s.size() : 1'000'000;
               },
               before, 'c', lines)
              .get() == n);
    CHECK(h.call(
               [](Echo&, char, std::span<const long double> xs, bool, std::span<const Point> ps) {
                 return misalignment(xs) + misalignment(ps) + xs.size() + ps.size();
               },
               'c', std::vector<long double>(n), true, std::vector<Point>(2))
              .get() == n + 2);
  }
}

TEST_CASE("borrowed elements may fill a large message", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Statistics>(backend);
  const std::vector<double> v(4 * megabyte, 0.5);
  CHECK(h.call(&Statistics::mean, v).get() == 0.5);
  CHECK(h.call(&Statistics::dot, v, v).get() == 1e6);
  CHECK(h.call(&Statistics::words, std::string(30 * megabyte, 'w')).get() == 1);
}

TEST_CASE("borrowed elements are aligned within a batch", "[borrowed]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Echo>(backend);
  const auto probe = [](Echo&, const std::string& s, std::span<const Line> xs,
                        std::span<const double> ys) {
    return misalignment(xs) == 0 && misalignment(ys) == 0 && ys.back() == 2 ? s.size() : 1'000'000;
  };
  using Prepared = decltype(h.prepare(probe, "", std::vector<Line>{}, std::vector<double>{}));
  std::vector<Prepared> calls;
  for (std::size_t n = 0; n < 70; ++n)
    calls.push_back(h.prepare(probe, std::string(n, 's'), std::vector<Line>(n % 3),
                              std::vector<double>(1 + n % 5, 2.0)));
  const auto sizes = h.run(calls);
  REQUIRE(sizes.size() == 70);
  for (std::size_t n = 0; n < 70; ++n) CHECK(sizes[n] == n);
}
