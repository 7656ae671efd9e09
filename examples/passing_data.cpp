// SPDX-License-Identifier: BSL-1.0
//
// The code of docs/data.md, in its order. Every excerpt over there is taken from here, and this
// program checks what the text says of it.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <atomic>
#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("not so: %s\n", what);
  std::exit(1);
}

// --- By value ------------------------------------------------------------------------------------

struct Signal {
  std::vector<double> samples;

  void load(std::vector<double> xs) { samples = std::move(xs); }
  std::vector<double> scaled(double by) const {
    std::vector<double> ys(samples);
    for (double& y : ys) y *= by;
    return ys;  // moved into the message, sent from there
  }

  double mean(std::span<const double> xs) const {
    return std::accumulate(xs.begin(), xs.end(), 0.0) / static_cast<double>(xs.size());
  }
  std::size_t lines(std::string_view text) const {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }

  apalis::View<double> all() const { return samples; }  // no copy in the worker
};

void by_value() {
  apalis::Handler<Signal> h;
  std::vector<double> xs(10'000'000, 1.5);  // 80 MB
  h.call(&Signal::load, xs).get();
  std::fill(xs.begin(), xs.end(), 0.0);  // ours again since call() has returned
  std::vector<double> ys = h.call(&Signal::scaled, 2.0).get();

  check(ys.size() == xs.size() && ys.front() == 3 && ys.back() == 3, "it arrives and comes back");
}

// --- Borrowing -----------------------------------------------------------------------------------

void borrowing() {
  apalis::Handler<Signal> h;
  std::vector<double> xs(1'000, 1.5);
  double m = h.call(&Signal::mean, xs).get();
  double head = h.call(&Signal::mean, std::span(xs).first(100)).get();
  std::size_t n = h.call(&Signal::lines, "one\ntwo\n").get();

  h.post(&Signal::load, xs);
  apalis::View<double> view = h.call(&Signal::all).get();
  h.close();
  double first = view[0];  // the elements are ours, whatever becomes of the worker

  check(m == 1.5 && head == 1.5 && n == 2, "it is read");
  check(first == 1.5 && view.size() == 1000, "a view outlives its worker");
}

// --- SharedArray ---------------------------------------------------------------------------------

struct Solver {
  void scale(std::span<double> xs, double by) {
    for (double& x : xs) x *= by;
  }
  double column_sum(apalis::SharedArray<double, 2> grid, std::size_t column) {
    double sum = 0;
    for (std::size_t i = 0; i < grid.extent(0); ++i) sum += grid(i, column);
    return sum;
  }

  apalis::SharedArray<double> kept;
  void keep(apalis::SharedArray<double> xs) { kept = std::move(xs); }
  double first() const { return kept.at(0); }
};

void sharing() {
  std::vector<apalis::Handler<Solver>> h(2);

  apalis::SharedArray<double> a(1'000'000, 1.5);
  auto left = h[0].call(&Solver::scale, a.subarray(0, 500'000), 2.0);
  auto right = h[1].call(&Solver::scale, a.subarray(500'000, 500'000), 4.0);
  left.get();
  right.get();
  std::cout << a[0] << ' ' << a[999'999] << '\n';  // 3 6

  apalis::SharedArray<double, 2> grid(100, 200);  // zeroed; grid(i, j), grid.row(i)
  grid(7, 3) = 1.25;
  double sum = h[0].call(&Solver::column_sum, grid, 3).get();

  h[0].call(&Solver::keep, apalis::SharedArray<double>(100, 7.0)).get();
  double kept = h[0].call(&Solver::first).get();  // the only holder is the worker now

  check(a[0] == 3 && a[999'999] == 6, "both halves are scaled, here too");
  check(sum == 1.25 && kept == 7, "grids arrive, and arrays are kept");
}

struct Searcher {
  std::size_t search(std::span<std::size_t> next, std::size_t end) {
    std::size_t done = 0;
    std::atomic_ref counter(next[0]);
    while (counter.fetch_add(1) < end) ++done;  // each index goes to one worker
    return done;
  }
};

void counting() {
  apalis::GroupHandler<Searcher> g{std::in_place, 4};
  apalis::SharedArray<std::size_t> next(1);
  std::vector<std::size_t> done = g.map(&Searcher::search, next, 10'000);

  check(std::accumulate(done.begin(), done.end(), std::size_t{0}) == 10'000, "each was taken once");
}

struct Cell {
  void iterate(std::span<double> now, std::span<double> next, std::size_t me, int steps,
               const apalis::Barrier& barrier) {
    for (int step = 0; step < steps; ++step) {
      next[me] = (now[(me + 1) % now.size()] + now[me]) / 2;
      barrier.arrive_and_wait();  // all have written, all see it
      std::swap(now, next);
    }
  }
};

void iterating() {
  std::vector<apalis::Handler<Cell>> cells(4);
  apalis::SharedArray<double> now(std::vector<double>{8, 0, 0, 0});
  apalis::SharedArray<double> next(4);
  apalis::Barrier barrier(cells.size());
  std::vector<apalis::Token<void>> done;
  for (std::size_t i = 0; i < cells.size(); ++i)
    done.push_back(cells[i].call(&Cell::iterate, now, next, i, 100, barrier));
  apalis::get(done);

  check(std::ranges::all_of(now, [](double x) { return x > 1.99 && x < 2.01; }), "it spreads");
}

// --- Ref -----------------------------------------------------------------------------------------

struct Prices {
  std::map<std::string, double> of;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(of);
  }
};

struct Shop {
  double pay(const Prices& prices, const std::string& what, int count) const {
    return prices.of.at(what) * count;
  }
  double mean(std::span<const double> xs) const {
    return std::accumulate(xs.begin(), xs.end(), 0.0) / static_cast<double>(xs.size());
  }
};

void referring() {
  apalis::GroupHandler<Shop> shops{{.workers = 2}, std::in_place, 8};

  apalis::Ref<Prices> prices = apalis::put(Prices{{{"tea", 2.5}, {"cake", 4.0}}});
  std::vector<double> paid = shops.map(&Shop::pay, prices, "tea", 2);  // 8 calls, 2 workers

  apalis::Ref xs = apalis::put(std::vector<double>(1'000'000, 1.5));
  std::vector<double> means = shops.map(&Shop::mean, xs);  // read in place by all

  apalis::Handler<Shop> frugal{
      {.on_worker_start = [] { apalis::limit_ref_cache(std::size_t{64} << 20); }}, std::in_place};

  double price = prices->of.at("cake");  // here, too

  check(paid == std::vector<double>(8, 5.0) && price == 4, "prices are known everywhere");
  check(means == std::vector<double>(8, 1.5), "and numbers");
  check(frugal.call(&Shop::pay, prices, "cake", 3).get() == 12, "with little to remember as well");
}

void in_a_file() {
  const std::string scratch = std::filesystem::temp_directory_path().string();
  apalis::Handler<Shop> h;
  const std::vector<double> xs(1'000'000, 1.5);

  apalis::Ref big = apalis::share(std::span(xs), {.directory = scratch});
  double m = h.call(&Shop::mean, big).get();

  check(m == 1.5 && big.size_bytes() == 8'000'000, "it is read from the file");
}

// --- Errors --------------------------------------------------------------------------------------

void errors() {
  apalis::SharedArray<int> a(3);
  try {
    a.at(3) = 1;  // a[3] is not checked
  } catch (const apalis::Error& error) {
    std::cout << error.what() << '\n';  // 3 is outside of a SharedArray's 3 elements
    check(std::string_view(error.what()).find("3 is outside") != std::string_view::npos,
          "it says so");
    return;
  }
  check(false, "an index outside is refused");
}

int main() {
  by_value();
  borrowing();
  sharing();
  counting();
  iterating();
  referring();
  in_a_file();
  errors();
}
