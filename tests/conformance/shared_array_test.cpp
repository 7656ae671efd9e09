// SPDX-License-Identifier: BSL-1.0
// Arrays that the caller and the objects share.
#include <apalis/detail/sys/free_memory.hpp>
#include <apalis/shared_array.hpp>
#include <array>
#include <atomic>
#include <cereal/types/vector.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "support/shared_bytes.hpp"

using apalis::Backend;
using apalis::SharedArray;
using apalis::test::shared_bytes;
using Catch::Matchers::ContainsSubstring;
using namespace conformance;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

struct Job {
  SharedArray<double> values;
  std::vector<SharedArray<int>> more;
  double factor = 1;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(values, more, factor);
  }
};

struct Solver {
  SharedArray<double> kept;

  double sum(std::span<const double> xs) { return std::accumulate(xs.begin(), xs.end(), 0.0); }
  void scale(std::span<double> xs, double by) {
    for (double& x : xs) x *= by;
  }
  void fill(SharedArray<double> xs, double value) {
    for (double& x : xs) x = value;
  }
  double first(const SharedArray<double>& xs) { return xs.at(0); }
  void keep(const SharedArray<double>& xs) { kept = xs; }
  void set_kept(std::size_t i, double x) { kept.at(i) = x; }
  double get_kept(std::size_t i) { return kept.at(i); }
  SharedArray<double> give() { return kept; }
  SharedArray<double> give_away() { return std::move(kept); }
  void drop() { kept = {}; }
  SharedArray<double> pass_on(SharedArray<double> xs) { return xs; }
  void transpose(SharedArray<double, 2> grid) {
    for (std::size_t i = 0; i < grid.extent(0); ++i)
      for (std::size_t j = 0; j < i; ++j) std::swap(grid(i, j), grid(j, i));
  }
  double run(const Job& job) {
    double total = 0;
    for (double& x : job.values) total += x *= job.factor;
    for (const auto& each : job.more) total += each.at(0);
    return total;
  }
  double three(std::span<const double, 3> xs) { return xs[2]; }
};

}  // namespace

TEST_CASE("an array is zeroed, filled or copied into", "[shared_array]") {
  const SharedArray<int> zeros(1000);
  CHECK(zeros.size() == 1000);
  CHECK(std::accumulate(zeros.begin(), zeros.end(), 0) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(zeros.data()) % 64 == 0);
  const SharedArray<int> sevens(10, 7);
  CHECK(sevens.to_vector() == std::vector<int>(10, 7));
  const std::vector<int> source{1, 2, 3};
  const SharedArray copied(source);
  CHECK(copied.to_vector() == source);
  CHECK(SharedArray<int>(std::span<const int>(source)).to_vector(1, 2) == std::vector<int>{2, 3});
  const SharedArray<int> none;
  CHECK(none.empty());
  CHECK(SharedArray<int>(0).data() == nullptr);
}

TEST_CASE("a copy of an array is the same array", "[shared_array]") {
  SharedArray<int> a(3);
  const SharedArray<int> b = a;
  b[1] = 5;
  CHECK(a[1] == 5);
  const SharedArray<int> part = a.subarray(1, 2);
  part[0] = 6;
  CHECK(a[1] == 6);
  const SharedArray<int> moved = std::move(a);
  CHECK(a.empty());  // NOLINT(bugprone-use-after-move): that is the question
  CHECK(moved.at(1) == 6);
  a = moved;
  CHECK(a.data() == moved.data());
}

TEST_CASE("an array of two dimensions lies row by row", "[shared_array]") {
  const SharedArray<int, 2> grid(3, 4);
  std::iota(grid.begin(), grid.end(), 0);
  CHECK(grid(2, 1) == 9);
  CHECK(grid.row(1)[3] == 7);
  CHECK(grid.row(1).size() == 4);
  CHECK(grid.extents() == std::array<std::size_t, 2>{3, 4});
  CHECK(grid.flat().at(9) == 9);
  const SharedArray<int, 3> cube(2, 3, 4, -1);
  CHECK(cube.size() == 24);
  CHECK(cube(1, 2, 3) == -1);
  CHECK(&cube(1, 2, 3) == cube.data() + 23);
  CHECK(cube.row(1).size() == 12);
}

TEST_CASE("an array that no memory can hold is refused before it is begun", "[shared_array]") {
  const auto tera = std::uint64_t{1} << 40;  // what there are addresses for
  const auto left = apalis::detail::sys::free_memory();
  if (left >= tera / 2) return;  // a machine of that size would hold it
  CHECK_THROWS_WITH(SharedArray<char>(tera / 2),
                    ContainsSubstring("524288 MiB is more than the ") &&
                        ContainsSubstring("free some, or keep the data in a file"));
  SharedArray<char> smaller(1000);  // what was refused left nothing behind
  smaller[999] = 1;
}

TEST_CASE("what is checked says what is wrong", "[shared_array]") {
  SharedArray<int> a(3);
  CHECK_THROWS_WITH(a.at(3), ContainsSubstring("3 is outside of a SharedArray's 3 elements"));
  CHECK_THROWS_AS(a.subarray(2, 2), apalis::Error);
  CHECK_THROWS_AS(a.subarray(4, 0), apalis::Error);
  CHECK_THROWS_AS(a.to_vector(1, SIZE_MAX), apalis::Error);
  const SharedArray<int> moved = std::move(a);
  // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
  CHECK_THROWS_WITH(a.at(0), ContainsSubstring("moved from"));
  CHECK_THROWS_WITH(SharedArray<double>(-1), ContainsSubstring("no room"));
  CHECK_THROWS_WITH(SharedArray<double>(SIZE_MAX / 8), ContainsSubstring("no room"));
  CHECK_THROWS_WITH((SharedArray<double, 2>(SIZE_MAX / 2, SIZE_MAX / 2)),
                    ContainsSubstring("no room"));
  CHECK_THROWS_AS(SharedArray<char>(std::size_t{1} << 50), apalis::SystemError);
  CHECK((SharedArray<int, 2>(0, SIZE_MAX).empty()));
}

TEST_CASE("an array's memory goes back with its last reference", "[shared_array]") {
  const auto before = shared_bytes();
  std::optional<SharedArray<char>> part;
  {
    const SharedArray<char> a(8 * megabyte);
    CHECK(shared_bytes() >= before + 8 * megabyte);
    part = a.subarray(100, 100);
  }
  CHECK(shared_bytes() >= before + 8 * megabyte);
  part.reset();
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("caller and object see the same elements", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);  // made before the array
  const SharedArray<double> a(1000, 1.0);
  CHECK(h.call(&Solver::sum, a).get() == 1000);
  a[10] = 5;
  CHECK(h.call<&Solver::sum>(a).get() == 1004);
  h.call(&Solver::scale, a, 2.0).get();
  CHECK(a[0] == 2);
  CHECK(a[10] == 10);
  h.call(&Solver::fill, a, 3.0).get();
  CHECK(a[999] == 3);
  a[0] = 4;
  CHECK(h.call(&Solver::first, a).get() == 4);
  h.post(&Solver::fill, a, 7.0);
  h.drain();
  CHECK(a[5] == 7);
}

TEST_CASE("closures take arrays in every form", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const SharedArray<int> a(100);
  h.call([](Solver&, std::span<int> xs) { std::iota(xs.begin(), xs.end(), 0); }, a).get();
  CHECK(a[99] == 99);
  CHECK(h.call([](Solver&, const std::span<const int>& xs) { return xs[42]; }, a).get() == 42);
  CHECK(h.call([](Solver&, auto xs) { return xs[43]; }, a).get() == 43);
  CHECK(h.call([](Solver&, const SharedArray<int>& xs,
                  std::string s) { return s + std::to_string(xs[1]); },
               a, "x")
            .get() == "x1");
  CHECK(h.call(
             [](Solver&, std::span<const int> xs, std::span<int> ys) {
               ys[0] = 17;
               return xs[0];
             },
             a, a)
            .get() == 17);
}

TEST_CASE("a span of another size is refused where it arrives", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  CHECK(h.call(&Solver::three, SharedArray<double>(3, 2.5)).get() == 2.5);
  CHECK_THROWS_WITH(h.call(&Solver::three, SharedArray<double>(4)).get(),
                    ContainsSubstring("4 elements was passed for a span of 3"));
}

TEST_CASE("parts of an array are passed like arrays", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const SharedArray<double> a(100'000, 1.0);
  h.call(&Solver::scale, a.subarray(50'000, 10), 9.0).get();
  CHECK(std::accumulate(a.begin(), a.end(), 0.0) == 100'080);
  CHECK(h.call(&Solver::sum, a.subarray(49'999, 3)).get() == 19);
  CHECK(h.call(&Solver::sum, a.subarray(7, 0)).get() == 0);
  CHECK(h.call(&Solver::sum, a.to_vector(49'999, 3)).get() == 19);  // by value
  CHECK(h.call(&Solver::sum, SharedArray<double>()).get() == 0);
}

TEST_CASE("arrays of two dimensions are passed", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const SharedArray<double, 2> grid(3, 3);
  std::iota(grid.begin(), grid.end(), 0.0);
  h.call(&Solver::transpose, grid).get();
  CHECK(grid(0, 2) == 6);
  CHECK(grid(2, 0) == 2);
  CHECK(h.call(&Solver::sum, grid).get() == 36);
}

TEST_CASE("an object keeps an array after the caller has let go of it", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const auto before = shared_bytes();
  {
    const SharedArray<double> a(megabyte, 1.5);
    h.call(&Solver::keep, a).get();
  }
  const SharedArray<double> other(megabyte, 9.0);  // does not get its memory
  CHECK(h.call(&Solver::get_kept, megabyte - 1).get() == 1.5);
  h.call(&Solver::set_kept, 3, 2.5).get();
  CHECK(h.call(&Solver::get_kept, 3).get() == 2.5);
  CHECK(shared_bytes() >= before + 16 * megabyte);
  h.call(&Solver::drop).get();
  CHECK(h.call(&Solver::sum, std::vector<double>{}).get() == 0);
  CHECK(shared_bytes() < before + 9 * megabyte);
}

TEST_CASE("arrays come back as results", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const SharedArray<double> a(10, 1.0);
  CHECK(h.call(&Solver::pass_on, a).get().data() == a.data());
  CHECK(h.call(&Solver::pass_on, a.subarray(2, 3)).get().size() == 3);
  h.call(&Solver::keep, a).get();
  CHECK(h.call(&Solver::give).get().data() == a.data());
  CHECK(h.get(&Solver::kept).get().data() == a.data());
  h.set(&Solver::kept, SharedArray<double>(2, 8.0));
  CHECK(h.call(&Solver::get_kept, 1).get() == 8);
  CHECK(h.call(&Solver::pass_on, SharedArray<double>()).get().empty());
}

TEST_CASE("a result is there though nobody else has the array any more", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const auto before = shared_bytes();
  {
    auto token = h.call(&Solver::pass_on, SharedArray<double>(megabyte, 4.0));
    h.drain();
    const SharedArray<double> other(megabyte, 9.0);
    const auto back = token.get();
    CHECK(back.at(17) == 4);
    CHECK(back.data() != other.data());
  }
  {
    h.call(&Solver::keep, SharedArray<double>(megabyte, 5.0)).get();
    auto token = h.call(&Solver::give_away);
    h.call(&Solver::drop).get();
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(token.get().at(3) == 5);
  }
  {  // nor has taken the reply in
    const SharedArray<int> flag(1);
    h.call(&Solver::keep, SharedArray<double>(megabyte, 5.0)).get();
    auto token = h.call(&Solver::give_away);
    h.post([](Solver&, std::span<int> f) { std::atomic_ref<int>(f[0]).store(1); }, flag);
    while (std::atomic_ref<int>(flag[0]).load() == 0) std::this_thread::yield();
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(token.get().at(3) == 5);
  }
  {  // and if it is never looked at
    h.call(&Solver::keep, SharedArray<double>(megabyte, 5.0)).get();
    const auto token = h.call(&Solver::give_away);
    h.drain();
  }
  h.call(&Solver::drop).get();
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("arrays cross in structs", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const auto before = shared_bytes();
  {
    const SharedArray<double> a(10, 2.0);
    Job job{a, {SharedArray<int>(5, 1), SharedArray<int>(6, 2), SharedArray<int>()}, 3.0};
    job.more.pop_back();
    CHECK(h.call(&Solver::run, job).get() == 63);
    CHECK(a[9] == 6);
    CHECK(h.call([](Solver&, Job j) { return j; }, job).get().values.data() == a.data());
    const std::vector<SharedArray<double>> several(100, SharedArray<double>(3, 1.0));
    CHECK(h.call(
               [](Solver&, const std::vector<SharedArray<double>>& all) {
                 double total = 0;
                 for (const auto& each : all) total += each[0];
                 return total;
               },
               several)
              .get() == 100);
  }
  h.call(&Solver::drop).get();
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("arrays are in batches", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Solver>(backend);
  const auto before = shared_bytes();
  {
    using Prepared = decltype(h.prepare(&Solver::sum, SharedArray<double>()));
    std::vector<Prepared> calls;
    for (int i = 0; i < 50; ++i)
      calls.push_back(h.prepare(&Solver::sum, SharedArray<double>(10, i)));
    // The calls alone keep them.
    for (int round = 0; round < 2; ++round) {
      const auto sums = h.run(calls);
      for (std::size_t i = 0; i < 50; ++i) CHECK(sums[i] == 10.0 * static_cast<double>(i));
    }
    const auto copy = calls[7];
    calls.clear();
    CHECK(h.run(std::vector(3, copy)) == std::vector<double>{70, 70, 70});
    const auto back = h.run(std::vector{h.prepare(&Solver::pass_on, SharedArray<double>(5, 1.0)),
                                        h.prepare(&Solver::pass_on, SharedArray<double>(6, 2.0))});
    CHECK(back[1].at(5) == 2);
  }
  h.call(&Solver::drop).get();
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("a group shares arrays", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  apalis::GroupHandler<Solver> g{{.workers = 2, .backend = backend}, std::in_place, 4};
  const SharedArray<double> a(8);
  for (std::size_t i = 0; i < 4; ++i)
    g[i].call(&Solver::fill, a.subarray(2 * i, 2), static_cast<double>(i)).get();
  CHECK(a.to_vector() == std::vector<double>{0, 0, 1, 1, 2, 2, 3, 3});
  CHECK(g.map(&Solver::sum, a) == std::vector<double>(4, 12.0));
  CHECK(g.map<&Solver::sum>(a) == std::vector<double>(4, 12.0));
  const std::vector<SharedArray<double>> parts{a.subarray(0, 2), a.subarray(2, 2), a.subarray(4, 2),
                                               a.subarray(6, 2)};
  CHECK(g.map(&Solver::sum, apalis::each(parts)) == std::vector<double>{0, 2, 4, 6});
  g.map(&Solver::scale, apalis::each(parts), 2.0);
  CHECK(a[7] == 6);
  std::vector<decltype(g[0].prepare(&Solver::sum, a))> calls;
  for (std::size_t i = 0; i < 4; ++i)
    calls.push_back(g[i].prepare(&Solver::sum, SharedArray<double>(3, static_cast<double>(i))));
  CHECK(g.run(calls) == std::vector<double>{0, 3, 6, 9});
  const auto back = g.map(&Solver::pass_on, apalis::each(parts));
  CHECK(back[3].data() == a.data() + 6);
}

namespace {

/// Has an array from the start.
struct Owner {
  SharedArray<double> a;
  double get(std::size_t i) { return a[i]; }
  void set(std::size_t i, double x) { a.data()[i] = x; }
  SharedArray<double> give() { return a; }
  double sum_of_copy() {
    const SharedArray<double> copy = a;
    return std::accumulate(copy.begin(), copy.end(), 0.0);
  }
  void drop() { a = {}; }
};

}  // namespace

TEST_CASE("an object is made with an array", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const auto before = shared_bytes();
  {
    SharedArray<double> a(megabyte, 1.0);
    auto h = on<Owner>(backend, a);
    h.call(&Owner::set, 5, 2.0).get();
    CHECK(a[5] == 2);
    a = {};
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Owner::get, 5).get() == 2);
    CHECK(h.call(&Owner::get, 6).get() == 1);
    CHECK(h.call(&Owner::give).get().at(5) == 2);
    h.call(&Owner::drop).get();
    h.drain();
    h.close();
    CHECK(shared_bytes() < before + 9 * megabyte);
  }
  {  // let go of while it is being made
    auto h = on<Owner>(backend, SharedArray<double>(megabyte, 3.0));
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Owner::get, 7).get() == 3);
  }
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("an object that is carried brings its array", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const auto before = shared_bytes();
  {
    SharedArray<double> a(megabyte, 1.0);
    const SharedArray<double> unrelated(megabyte, 2.0);
    apalis::Handler<Owner> h{options_for(backend), apalis::carry, Owner{a}};
    h.call(&Owner::set, 5, 2.0).get();
    CHECK(a[5] == 2);
    a = {};
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Owner::get, 5).get() == 2);
    CHECK(h.call(&Owner::sum_of_copy).get() == static_cast<double>(megabyte) + 1);
    CHECK(h.call(&Owner::give).get().at(5) == 2);
    h.close();
  }
  {  // which only it has
    apalis::Handler<Owner> h{options_for(backend), apalis::carry,
                             Owner{SharedArray<double>(megabyte, 4.0)}};
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Owner::get, 5).get() == 4);
    CHECK(h.call(&Owner::sum_of_copy).get() == 4 * static_cast<double>(megabyte));
  }
  {
    std::vector<Owner> owners;
    for (int i = 0; i < 5; ++i) owners.push_back({SharedArray<double>(1000, i)});
    apalis::GroupHandler<Owner> g{
        {.workers = 2, .backend = backend}, apalis::carry, std::move(owners)};
    const SharedArray<double> other(10'000, 9.0);
    CHECK(g.map(&Owner::get, 999) == std::vector<double>{0, 1, 2, 3, 4});
  }
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("what an object does not have is not kept by its handler", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::optional<SharedArray<double>> big(std::in_place, megabyte, 1.0);
  auto in_place = on<Owner>(backend, SharedArray<double>(1));
  apalis::Handler<Owner> carried{options_for(backend), apalis::carry,
                                 Owner{SharedArray<double>(1)}};
  in_place.call(&Owner::get, 0).get();
  carried.call(&Owner::get, 0).get();
  const auto before = shared_bytes();
  big.reset();
  CHECK(shared_bytes() + 7 * megabyte < before);
}

TEST_CASE("a factory uses arrays of its caller", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const SharedArray<double> a(std::vector<double>{5, 6, 7});
  apalis::GroupHandler<Owner> g{
      {.workers = 2, .backend = backend}, std::in_place, 3, [&](std::size_t i) {
        return Owner{SharedArray<double>(a.subarray(i, 1))};
      }};
  CHECK(g.map(&Owner::get, 0) == std::vector<double>{5, 6, 7});
  a[1] = 60;
  CHECK(g[1].call(&Owner::get, 0).get() == 60);
}

TEST_CASE("atomics in an array count for all", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  struct Counter {
    void add(std::span<std::int64_t> cells, int times) {
      const std::atomic_ref<std::int64_t> cell(cells[0]);
      for (int i = 0; i < times; ++i) cell.fetch_add(1);
    }
  };
  apalis::GroupHandler<Counter> g{{.workers = 3, .backend = backend}, std::in_place, 3};
  const SharedArray<std::int64_t> cells(1);
  constexpr int times = 100'000;
  auto token = g.start_map(&Counter::add, cells, times);
  const std::atomic_ref<std::int64_t> cell(cells[0]);
  for (int i = 0; i < times; ++i) cell.fetch_add(1);
  token.get();
  CHECK(cells[0] == std::int64_t{4} * times);
}

namespace {

/// Has an array from its fork on, and so has what it makes of itself.
struct Ancestor {
  SharedArray<double> a;
  std::unique_ptr<apalis::Handler<Owner>> inner;
  void make_inner(int backend) {
    inner = std::make_unique<apalis::Handler<Owner>>(options_for(static_cast<Backend>(backend)),
                                                     std::in_place, a);
  }
  double get_below(std::size_t i) { return inner->call(&Owner::get, i).get(); }
  double sum_below() { return inner->call(&Owner::sum_of_copy).get(); }
};

/// Passes what it is given to a worker of its own.
struct Forwarder {
  explicit Forwarder(Backend backend) : inner(on<Solver>(backend)) {}
  apalis::Handler<Solver> inner;
  double sum(const SharedArray<double>& xs) { return inner.call(&Solver::sum, xs).get(); }
  void keep_below(const SharedArray<double>& xs) { inner.call(&Solver::keep, xs).get(); }
  double kept_below(std::size_t i) { return inner.call(&Solver::get_kept, i).get(); }
  void drop_below() {
    inner.call(&Solver::drop).get();
    inner.drain();
  }
  SharedArray<double> echo(SharedArray<double> xs) {
    return inner.call(&Solver::pass_on, std::move(xs)).get();
  }
  double own() {
    const SharedArray<double> a(100, 2.0);
    inner.call(&Solver::scale, a, 3.0).get();
    return a.at(99);
  }
  SharedArray<double> made_here() { return SharedArray<double>(1); }
};

}  // namespace

TEST_CASE("an object passes an array on to an object of its own", "[shared_array]") {
  const auto backend = each_backend();
  const auto inner = each_backend();
  CAPTURE(backend, inner);
  const auto before = shared_bytes();
  {
    auto h = on<Forwarder>(backend, inner);
    CHECK(h.call(&Forwarder::sum, SharedArray<double>(megabyte, 1.0)).get() == megabyte);
    const SharedArray<double> a(100, 1.0);
    CHECK(h.call(&Forwarder::sum, a).get() == 100);
    CHECK(h.call(&Forwarder::echo, a).get().data() == a.data());
    CHECK(h.call(&Forwarder::own).get() == 6);
    h.call(&Forwarder::keep_below, SharedArray<double>(megabyte, 5.0)).get();
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Forwarder::kept_below, megabyte - 1).get() == 5);
    CHECK(shared_bytes() >= before + 16 * megabyte);
    h.call(&Forwarder::drop_below).get();
    CHECK(h.call(&Forwarder::sum, a).get() == 100);
    CHECK(shared_bytes() < before + 9 * megabyte);
  }
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("an array goes from fork to fork", "[shared_array]") {
  const auto backend = each_backend();
  const auto inner = each_backend();
  CAPTURE(backend, inner);
  const auto before = shared_bytes();
  {
    apalis::Handler<Ancestor> h{options_for(backend), apalis::carry,
                                Ancestor{SharedArray<double>(megabyte, 2.0), nullptr}};
    h.call(&Ancestor::make_inner, static_cast<int>(inner)).get();
    CHECK(h.call(&Ancestor::get_below, 17).get() == 2);
    const SharedArray<double> other(megabyte, 9.0);
    CHECK(h.call(&Ancestor::sum_below).get() == 2.0 * megabyte);
  }
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("an array made in a worker process can't be sent up", "[shared_array]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Forwarder>(backend, Backend::serial);
  if (backend == Backend::processes) {
    CHECK_THROWS_WITH(
        h.call(&Forwarder::made_here).get(),
        ContainsSubstring("a SharedArray that was made in a worker can't be sent up"));
  } else {
    CHECK(h.call(&Forwarder::made_here).get().at(0) == 0);
  }
}
