// SPDX-License-Identifier: BSL-1.0
// What a call costs by how much data it is passed, and how.
//
//   apalis_data_curve [--quick] [--output DIRECTORY]

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <apalis/apalis.hpp>
#include <apalis/shared_array.hpp>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "../suite/copy_pair.hpp"
#include "../suite/interleave.hpp"
#include "../suite/machine.hpp"
#include "../suite/stopwatch.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;

/// Looks at the ends only: the time is that of the passing.
struct Taker {
  static double ends(std::span<const double> xs) { return xs.front() + xs.back(); }
  double take(std::vector<double> xs) { return ends(xs); }
  double look(std::span<const double> xs) { return ends(xs); }
  int null(int x) { return x + 1; }
};

constexpr std::array ways{"by value", "span", "SharedArray", "Ref", "memcpy", "null call"};

struct Point {
  std::size_t bytes;
  std::array<double, ways.size()> medians;  // ns, in the order of `ways`
};

/// 100 B, 300 B, 1 kB, … : two in each decade, as whole doubles.
std::vector<std::size_t> sizes(bool quick) {
  std::vector<std::size_t> all;
  const std::size_t last = quick ? 1'000'000 : 100'000'000;
  for (std::size_t decade = 100; decade <= last; decade *= 10)
    for (const std::size_t bytes : {decade, 3 * decade})
      if (bytes <= last) all.push_back(bytes / sizeof(double) * sizeof(double));
  return all;
}

Point measure(std::size_t bytes, const Effort& effort) {
  std::vector<double> source(bytes / sizeof(double), 1.0);
  const SharedArray<double> array{std::span<const double>(source)};
  const Ref<std::vector<double>> ref = put(std::span(source));
  Handler<Taker> handler;
  CopyPair pair{source.size()};
  // The copied ones are of bytes just written here, as the reference's are.
  const Side by_value{.sample = [&] {
    make_dirty(source);
    return timed(1, [&] { keep(handler.call(&Taker::take, source).get()); });
  }};
  const Side span{.sample = [&] {
    make_dirty(source);
    return timed(1, [&] { keep(handler.call(&Taker::look, source).get()); });
  }};
  const Side shared_array{
      .sample = [&] { return timed(1, [&] { keep(handler.call(&Taker::look, array).get()); }); }};
  const Side with_ref{
      .sample = [&] { return timed(1, [&] { keep(handler.call(&Taker::look, ref).get()); }); }};
  const Side null_call{.sample = [&, x = 0]() mutable {
    return timed(1, [&] { keep(handler.call(&Taker::null, ++x).get()); });
  }};
  const auto summaries =
      interleave(effort, by_value, span, shared_array, with_ref, pair.side(), null_call);
  Point point{bytes, {}};
  for (std::size_t i = 0; i < ways.size(); ++i) point.medians[i] = summaries[i].median;
  return point;
}

/// Three digits, in the unit that suits.
std::string time_text(double nanoseconds) {
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  if (nanoseconds < 1e6) return fmt::format("{:.3g} us", nanoseconds / 1e3);
  return fmt::format("{:.3g} ms", nanoseconds / 1e6);
}

std::string size_text(std::size_t bytes) {
  const auto number = static_cast<double>(bytes);
  if (number < 1e3) return fmt::format("{} B", bytes);
  if (number < 1e6) return fmt::format("{:.3g} kB", number / 1e3);
  return fmt::format("{:.3g} MB", number / 1e6);
}

void print_head(const Machine& machine, bool quick) {
  fmt::print("apalis {} on {}\n", machine.commit, machine.date);
  fmt::print("  machine    {}\n", machine.summary());
  fmt::print("  build      {}; {}\n", machine.compiler, machine.flags);
  fmt::print("  placement  {} among cpus {}; load average {}\n", placement, machine.cpus_allowed,
             machine.load_average);
  if (quick) fmt::print("A quick run shows that the program works; its figures mean nothing.\n");
  fmt::print("\nA call and its result, by the bytes that it is passed (medians)\n\n{:>10}",
             "bytes");
  for (const char* way : ways) fmt::print("{:>13}", way);
  fmt::print("\n");
}

void print_line(const Point& point) {
  fmt::print("{:>10}", size_text(point.bytes));
  for (const double median : point.medians) fmt::print("{:>13}", time_text(median));
  fmt::print("\n");
  std::fflush(stdout);
}

/// Comments that the plot reads its titles from, then a line a size: bytes, and ns of each way.
void write_data(const std::string& path, const Machine& machine, bool quick,
                const std::vector<Point>& points) {
  std::ofstream file(path);
  fmt::print(file, "# machine {} x {}, {}\n# date {}\n# commit {}\n# quick {:d}\n", machine.cpus,
             machine.cpu, machine.kernel, machine.date.substr(0, 10), machine.commit, quick);
  fmt::print(file, "# bytes; ns, medians: {}\n", fmt::join(ways, ", "));
  for (const Point& point : points)
    fmt::print(file, "{} {:.6g}\n", point.bytes, fmt::join(point.medians, " "));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

void run(bool quick, const std::string& directory) {
  const auto start = std::chrono::steady_clock::now();
  const Effort effort = quick ? Effort::for_function()
                              : Effort{.rounds = 15, .block = 10ms, .warm_up = 1ms, .quick = false};
  const Machine machine = this_machine();
  print_head(machine, quick);
  std::vector<Point> points;
  for (const std::size_t bytes : sizes(quick)) {
    points.push_back(measure(bytes, effort));
    print_line(points.back());
  }
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  fmt::print("\n{:.0f} s\n", passed.count());
  write_data(directory + "/data.dat", machine, quick, points);
}

}  // namespace
}  // namespace apalis::bench

int main(int argc, char** argv) {
  bool quick = false;
  std::string directory = ".";
  CLI::App app{"Calls that are passed 100 B to 100 MB, by value, span, SharedArray and Ref."};
  app.add_flag("--quick", quick, "Seconds in all: for function, not for figures");
  app.add_option("--output", directory, "Where data.dat goes")->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  try {
    apalis::bench::run(quick, directory);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "apalis_data_curve: {}\n", error.what());
    return 1;
  }
}
