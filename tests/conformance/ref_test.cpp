// SPDX-License-Identifier: BSL-1.0
// Values that many calls read: sent once, made at most once in each worker.
#include <algorithm>
#include <apalis/ref.hpp>
#include <apalis/shared_array.hpp>
#include <array>
#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "support/shared_bytes.hpp"

using apalis::Backend;
using apalis::Ref;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;

namespace {

/// Counts how often a process makes one.
struct Table {
  std::map<std::string, int> rows;
  static inline int made = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(rows);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(rows);
    ++made;
    if (rows.contains("broken")) throw std::domain_error("a broken table");
  }
};

struct Job {
  Ref<std::vector<double>> xs;
  double factor = 1;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(xs, factor);
  }
};

struct Model {
  Ref<std::vector<double>> kept;

  int row(const Table& table, const std::string& name) const { return table.rows.at(name); }
  int own_row(Table table, const std::string& name) const { return table.rows[name]; }
  int made() const { return Table::made; }
  void limit(std::size_t bytes) const { apalis::limit_ref_cache(bytes); }
  double sum(std::span<const double> xs) const {
    return std::accumulate(xs.begin(), xs.end(), 0.0);
  }
  double sum_vector(const std::vector<double>& xs) const { return sum(xs); }
  double three(std::span<const double, 3> xs) const { return xs[2]; }
  std::uintptr_t where(const Ref<std::vector<double>>& xs) const {
    return reinterpret_cast<std::uintptr_t>(xs.span().data());
  }
  std::size_t length(std::string_view text) const { return text.size(); }
  std::size_t copied_length(const std::string& text) const { return text.size(); }
  void keep(Ref<std::vector<double>> xs) { kept = std::move(xs); }
  double sum_kept() const { return sum(kept.span()); }
  Ref<std::vector<double>> give() const { return kept; }
  double run(const Job& job) const { return job.factor * sum(job.xs.span()); }
  Ref<int> make() const { return apalis::put(1); }
};

Table table_of(int first) {
  Table table;
  table.rows = {{"one", first}, {"two", first + 1}};
  return table;
}

std::vector<double> numbers(std::size_t n) {
  std::vector<double> v(n);
  std::iota(v.begin(), v.end(), 0.5);
  return v;
}

}  // namespace

TEST_CASE("a value is read where it was put, too", "[ref]") {
  const Ref<Table> table = apalis::put(table_of(1));
  CHECK(table->rows.at("two") == 2);
  CHECK(&*table == &table.get());
  const auto copy = table;
  CHECK(&*copy == &*table);
  const Ref xs = apalis::put(numbers(1000));
  CHECK(xs.size() == 1000);
  CHECK(xs.size_bytes() == 8000);
  CHECK(xs.span()[999] == 999.5);
  CHECK(*xs == numbers(1000));
  CHECK(std::accumulate(xs.begin(), xs.end(), 0.0) == 500'000.0);
  const std::array<int, 3> array{1, 2, 3};
  CHECK(*apalis::put(std::span(array)) == std::vector{1, 2, 3});
  CHECK(*apalis::put(std::string("text")) == "text");
  CHECK(*apalis::put(7) == 7);
  CHECK(apalis::put(std::vector<double>{}).get().empty());
}

TEST_CASE("a Ref that refers to nothing says so", "[ref]") {
  const Ref<Table> none;
  CHECK_FALSE(none);
  CHECK_THROWS_WITH(*none, ContainsSubstring("refers to nothing"));
  CHECK_THROWS_WITH(Ref<std::string>{}.span(), ContainsSubstring("refers to nothing"));
  Ref<Table> table = apalis::put(table_of(1));
  const Ref<Table> moved = std::move(table);
  CHECK(moved);
  CHECK_FALSE(table);  // NOLINT(bugprone-use-after-move): that is the question
}

TEST_CASE("a parameter may be the value itself", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  const auto table = apalis::put(table_of(10));
  CHECK(h.call(&Model::row, table, "two").get() == 11);
  CHECK(h.call(&Model::own_row, table, "one").get() == 10);
  const auto xs = apalis::put(numbers(1000));
  CHECK(h.call(&Model::sum_vector, xs).get() == 500'000.0);
  CHECK(h.call(&Model::sum, xs).get() == 500'000.0);
  CHECK(h.call(&Model::three, apalis::put(numbers(3))).get() == 2.5);
  CHECK_THROWS_AS(h.call(&Model::three, xs).get(), apalis::Error);
  const auto text = apalis::put(std::string(5000, 't'));
  CHECK(h.call(&Model::length, text).get() == 5000);
  CHECK(h.call(&Model::copied_length, text).get() == 5000);
  CHECK(h.call([](Model&, const Ref<Table>& t) { return t->rows.size(); }, table).get() == 2);
  CHECK(h.call([](Model&, const auto& t) { return t->rows.size(); }, table).get() == 2);
  h.post(&Model::row, table, "one");
  h.drain();
}

TEST_CASE("a value is made at most once in each worker", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  const int before = h.call(&Model::made).get();
  const auto table = apalis::put(table_of(10));
  for (int i = 0; i < 100; ++i) CHECK(h.call(&Model::row, table, "two").get() == 11);
  const auto other = apalis::put(table_of(20));
  CHECK(h.call(&Model::row, other, "two").get() == 21);
  CHECK(h.call(&Model::row, table, "two").get() == 11);
  CHECK(h.call(&Model::made).get() == before + 2);
}

TEST_CASE("what was put after another was freed is another", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  for (int i = 0; i < 50; ++i)
    CHECK(h.call(&Model::row, apalis::put(table_of(i)), "one").get() == i);
}

TEST_CASE("the values used last are kept, up to a limit", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  const auto first = apalis::put(table_of(1));
  const auto second = apalis::put(table_of(2));
  const auto third = apalis::put(table_of(3));
  h.call(&Model::limit, 2 * first.size_bytes()).get();
  const auto made_by = [&](const Ref<Table>& table) {
    const int before = h.call(&Model::made).get();
    h.call(&Model::row, table, "one").get();
    return h.call(&Model::made).get() - before;
  };
  CHECK(made_by(first) == 1);
  CHECK(made_by(second) == 1);
  CHECK(made_by(first) == 0);
  CHECK(made_by(third) == 1);  // in place of the second
  CHECK(made_by(first) == 0);
  CHECK(made_by(second) == 1);
  h.call(&Model::limit, std::size_t{1}).get();
  CHECK(made_by(first) == 1);
  CHECK(made_by(first) == 1);
  h.call(&Model::limit, std::size_t{256} << 20).get();
}

TEST_CASE("a value that can't be made fails the call, each time", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  Table broken = table_of(1);
  broken.rows["broken"] = 0;
  const auto ref = apalis::put(broken);
  CHECK_THROWS_AS(h.call(&Model::row, ref, "one").get(), std::domain_error);
  CHECK_THROWS_AS(h.call(&Model::row, ref, "one").get(), std::domain_error);
  CHECK(h.call(&Model::row, apalis::put(table_of(1)), "one").get() == 1);
}

TEST_CASE("elements are read in place, at one address in all processes", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto first = on<Model>(backend);
  const auto xs = apalis::put(numbers(100'000));
  auto second = on<Model>(backend);
  const auto here = reinterpret_cast<std::uintptr_t>(xs.span().data());
  CHECK(here % 64 == 0);
  CHECK(first.call(&Model::where, xs).get() == here);
  CHECK(second.call(&Model::where, xs).get() == here);
}

TEST_CASE("a Ref may be kept, given back and part of something", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  Ref xs = apalis::put(numbers(1000));
  h.post(&Model::keep, xs);
  h.drain();
  xs = {};
  CHECK(h.call(&Model::sum_kept).get() == 500'000.0);
  const Ref<std::vector<double>> back = h.call(&Model::give).get();
  h.post(&Model::keep, Ref<std::vector<double>>{});
  h.drain();
  CHECK(back.span()[999] == 999.5);
  CHECK(h.call(&Model::run, Job{back, 2.0}).get() == 1'000'000.0);
  CHECK_FALSE(h.call(&Model::give).get());
}

TEST_CASE("groups and batches take Refs", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  apalis::GroupOptions options;
  options.backend = backend;
  options.workers = 2;
  apalis::GroupHandler<Model> g{options, std::in_place, 6, [](std::size_t) { return Model{}; }};
  const auto xs = apalis::put(numbers(1000));
  CHECK(g.map(&Model::sum, xs) == std::vector<double>(6, 500'000.0));
  const auto table = apalis::put(table_of(3));
  CHECK(g.map(&Model::row, table, "one") == std::vector<int>(6, 3));
  std::vector<apalis::Call<Model, double>> calls;
  for (std::size_t i = 0; i < 6; ++i)
    calls.push_back(g[i].prepare(&Model::sum, apalis::put(numbers(10 * i))));
  const auto sums = g.run(calls);
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(sums[i] == static_cast<double>(10 * i) * static_cast<double>(10 * i) / 2);
}

TEST_CASE("a Ref's memory goes back with its last holder", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  constexpr std::size_t megabyte = std::size_t{1} << 20;
  h.call(&Model::sum, apalis::put(numbers(10))).get();
  const auto before = apalis::test::shared_bytes();
  Ref xs = apalis::put(numbers(8 * megabyte / sizeof(double)));
  CHECK(apalis::test::shared_bytes() >= before + 8 * megabyte);
  h.call(&Model::keep, xs).get();
  xs = {};
  CHECK(apalis::test::shared_bytes() >= before + 8 * megabyte);
  h.call(&Model::keep, Ref<std::vector<double>>{}).get();
  // Kept for the next one as large: a second, and until the library is used then.
  xs = apalis::put(numbers(8 * megabyte / sizeof(double)));
  CHECK(xs.span()[7] == 7.5);
  CHECK(apalis::test::shared_bytes() < before + 9 * megabyte);
  xs = {};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (apalis::test::shared_bytes() >= before + megabyte &&
         std::chrono::steady_clock::now() < deadline)
    (void)apalis::put(std::string(10, 'x'));
  CHECK(apalis::test::shared_bytes() < before + megabyte);
}

TEST_CASE("a value may be shared through a file", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  const apalis::ShareOptions options{.directory = std::filesystem::temp_directory_path().string()};
  const auto files = [&] {
    const std::filesystem::directory_iterator all(options.directory);
    return std::ranges::count_if(all, [](const auto& entry) {
      return entry.path().filename().string().starts_with("apalis-");
    });
  };
  const auto before = files();
  Ref xs = apalis::share(numbers(1'000'000), options);
  CHECK(files() == before);
  CHECK(xs.span()[999'999] == 999'999.5);
  for (int i = 0; i < 3; ++i) CHECK(h.call(&Model::sum, xs).get() == 5e11);
  CHECK(h.call(&Model::sum_vector, xs).get() == 5e11);
  h.post(&Model::keep, xs);
  const auto table = apalis::share(table_of(5), options);
  CHECK(h.call(&Model::row, table, "one").get() == 5);
  CHECK(table->rows.at("two") == 6);
  CHECK(apalis::share(std::vector<int>{}, options).get().empty());
  CHECK(h.call(&Model::length, apalis::share(std::string(70'000, 'f'), options)).get() == 70'000);
  xs = {};
  CHECK(h.call(&Model::sum_kept).get() == 5e11);
  const Ref<std::vector<double>> back = h.call(&Model::give).get();
  CHECK(back.span()[1] == 1.5);
  CHECK_THROWS_WITH(apalis::share(1, {.directory = "/no/such/folder"}),
                    ContainsSubstring("/no/such/folder"));
}

TEST_CASE("what can't be put or sent up says so", "[ref]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Model>(backend);
  CHECK_THROWS_WITH(apalis::put(std::vector<apalis::SharedArray<int>>{apalis::SharedArray<int>(3)}),
                    ContainsSubstring("beside it"));
  if (backend == Backend::processes) {
    CHECK_THROWS_WITH(h.call(&Model::make).get(),
                      ContainsSubstring("a Ref that was made in a worker can't be sent up"));
  } else {
    CHECK(*h.call(&Model::make).get() == 1);
  }
}
