// SPDX-License-Identifier: BSL-1.0
#include <stdlib.h>

#include <apalis/detail/sys/load.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;
using Catch::Approx;
using sys::AverageOfOwn;
using sys::CoreCounts;
using sys::LoadWatch;
using namespace std::chrono_literals;

namespace {

constexpr AverageOfOwn::Time start{24h};

/// A machine that is as busy as a file says.
class LoadedMachine {
 public:
  LoadedMachine() {
    char path[] = "/tmp/apalis-load-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = path;
  }
  ~LoadedMachine() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  LoadedMachine(const LoadedMachine&) = delete;
  LoadedMachine& operator=(const LoadedMachine&) = delete;

  void write(const std::string& text) const { std::ofstream(root_ / "loadavg") << text; }
  [[nodiscard]] sys::LoadFiles files() const { return {.machine = (root_ / "loadavg").string()}; }

 private:
  std::filesystem::path root_;
};

/// The kernel's own arithmetic: a step each five seconds.
double kernel_average(double average, double tasks, int seconds) {
  const double kept = std::exp(-5.0 / 60);
  for (; seconds > 0; seconds -= 5) average = average * kept + tasks * (1 - kept);
  return average;
}

}  // namespace

TEST_CASE("the load is read as the kernel writes it", "[load]") {
  const auto load = sys::parse_load("12.34 1.56 0.05 2/97 19017\n");
  REQUIRE(load.has_value());
  CHECK(load->average == Approx(12.34));
  CHECK(load->runnable == 2);
  CHECK(sys::parse_load("0.00 0.00 0.00 1/1 1")->average == 0);
  CHECK(sys::parse_load("0.07 0.00 0.00 4294967295/1 1")->runnable > 0);
}

TEST_CASE("a load that is written otherwise is none", "[load]") {
  for (const char* text :
       {"", "\n", "1", "1.5", "1.50", "1.50 ", "1.50 1.50 1.50", "1.50 1.50 1.50 2",
        "1.50 1.50 1.50 /2", "1.50 1.50 1.50 x/2", "1.5 1.50 1.50 1/2 3", "1.500 1.50 1.50 1/2 3",
        "-1.50 1.50 1.50 1/2 3", "1,50 1.50 1.50 1/2 3", "nan nan nan 1/2 3",
        "1.50 1.50 1.50 -1/2 3", "1.50  1.50 1.50 1/2 3", "99999999999.00 1.50 1.50 1/2 3"})
    CHECK_FALSE(sys::parse_load(text).has_value());
}

TEST_CASE("a load that can't be read is none", "[load]") {
  const LoadedMachine machine;
  CHECK_FALSE(sys::machine_load(machine.files()).has_value());
  machine.write("");
  CHECK_FALSE(sys::machine_load(machine.files()).has_value());
  machine.write(std::string(100'000, 'x'));
  CHECK_FALSE(sys::machine_load(machine.files()).has_value());
  CHECK_FALSE(sys::machine_load({.machine = "/tmp"}).has_value());
  LoadWatch watch(machine.files(), {.usable = 1, .online = 1});
  CHECK(watch.look({}, start).average == 0);
  CHECK(watch.look({}, start).now == 0);
}

TEST_CASE("this machine's load is read", "[load]") {
  const auto load = sys::machine_load();
  REQUIRE(load.has_value());
  CHECK(load->runnable >= 1);
  CHECK(sys::load_watch().look({}, LoadWatch::Time::clock::now()).now >= 0);
}

TEST_CASE("the average of one's own work is what the kernel makes of it", "[load]") {
  AverageOfOwn own;
  CHECK(own.at(start) == 0);
  own.add(2 * 90, start, start + 90s);  // two tasks for 90 s
  CHECK(own.at(start + 90s) == Approx(kernel_average(0, 2, 90)));
  CHECK(own.at(start + 150s) == Approx(kernel_average(kernel_average(0, 2, 90), 0, 60)));
  own.add(0.5 * 30, start + 150s, start + 180s);
  CHECK(own.at(start + 180s) ==
        Approx(kernel_average(kernel_average(kernel_average(0, 2, 90), 0, 60), 0.5, 30)));
  CHECK(own.at(start + 24h) < 1e-6);
}

TEST_CASE("work may be told in any order and in pieces", "[load]") {
  AverageOfOwn whole;
  whole.add(60, start, start + 60s);
  whole.add(20, start + 10s, start + 30s);
  AverageOfOwn pieces;
  pieces.add(30, start + 30s, start + 60s);
  pieces.add(30, start, start + 30s);
  pieces.add(20, start + 10s, start + 30s);
  CHECK(pieces.at(start + 60s) == Approx(whole.at(start + 60s)));
  AverageOfOwn moment;
  moment.add(6, start, start);
  CHECK(moment.at(start) == Approx(0.1));
}

TEST_CASE("others crowd the cores that are left to them last", "[load]") {
  CHECK(sys::crowding(3, {.usable = 4, .online = 4}) == Approx(0.75));
  CHECK(sys::crowding(-1, {.usable = 4, .online = 4}) == 0);
  CHECK(sys::crowding(40, {.usable = 2, .online = 64}) == 0);
  CHECK(sys::crowding(63, {.usable = 2, .online = 64}) == Approx(0.5));
  const auto cores = sys::core_counts();
  CHECK(cores.usable >= 1);
  CHECK(cores.online >= cores.usable);
}

TEST_CASE("neither who asks nor its workers are others", "[load]") {
  const LoadedMachine machine;
  LoadWatch watch(machine.files(), {.usable = 4, .online = 4});
  machine.write("0.00 0.00 0.00 1/80 1\n");
  CHECK(watch.look({}, start).now == 0);
  machine.write("0.00 0.00 0.00 4/80 1\n");
  CHECK(watch.look({}, start).now == Approx(0.75));
  CHECK(watch.look({.running_workers = 2}, start).now == Approx(0.25));
  CHECK(watch.look({.running_workers = 9}, start).now == 0);
  CHECK(watch.look({}, start).average == 0);
}

TEST_CASE("what workers did is not in the average of others", "[load]") {
  const LoadedMachine machine;
  LoadWatch watch(machine.files(), {.usable = 4, .online = 4});
  machine.write("3.00 0.00 0.00 1/80 1\n");
  CHECK(watch.look({}, start).average == Approx(0.75));
  watch.note_workers(4 * 30, start, start + 30s);  // four of them for half a minute
  const double own = kernel_average(0, 4, 30);
  CHECK(watch.look({}, start + 30s).average == Approx((3 - own) / 4));
  CHECK(watch.look({}, start + 60s).average == Approx((3 - own * std::exp(-0.5)) / 4));
  CHECK(watch.look({}, start + 1h).average == Approx(0.75));
  // Work that is still going on was not told yet.
  CHECK(watch.look({.running_workers = 2}, start + 1h).average == Approx(0.25));
}

TEST_CASE("what this process did is not in the average of others", "[load]") {
  const LoadedMachine machine;
  LoadWatch watch(machine.files(), {.usable = 2, .online = 2});
  machine.write("1.00 0.00 0.00 1/80 1\n");
  double cpu = 300;
  CHECK(watch.look({.cpu_seconds = cpu}, start).average < 0.01);  // until now, by one thread
  CHECK(watch.look({.cpu_seconds = cpu}, start + 10min).average == Approx(0.5).epsilon(0.01));
  cpu += 30;  // one thread for the next half minute
  CHECK(watch.look({.cpu_seconds = cpu}, start + 10min + 30s).average ==
        Approx((1 - kernel_average(0, 1, 30)) / 2).epsilon(0.01));
}

TEST_CASE("the processor time of this process is counted", "[load]") {
  const double before = sys::process_cpu_seconds();
  while (sys::process_cpu_seconds() < before + 0.01) {
  }
  CHECK(before > 0);
}
