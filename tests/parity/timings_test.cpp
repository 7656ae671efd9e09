// SPDX-License-Identifier: BSL-1.0
// Apalis's notebook "Timings", cell by cell. What it measures and plots, benchmarks/ does; here is
// what it prints, and that its ways of writing the same thing give the same.
#include <apalis/apalis.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "python.hpp"
#include "support/catch.hpp"

using apalis::Call;
using apalis::GroupHandler;
using apalis::Handler;
using apalis::Token;
using parity::A;
using parity::printed;

namespace {

constexpr std::size_t num_cpus = 16;
const std::string zeros16 = "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]";
const std::string zeros32 =
    "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
    "0]";

using Results = std::vector<std::int64_t>;
using Calls = std::vector<Call<A, std::int64_t>>;

// Cells 4 and 13:
// objs = [A() for _ in range(obj_number)]
// objs_apalis = [apalis.Handler(a) for a in objs]
// objs_apalis_G = apalis.GroupHandler(objs, threads=num_cpus)
struct Objects {
  explicit Objects(std::size_t obj_number)
      : objs(obj_number),
        objs_apalis(objs.begin(), objs.end()),
        objs_apalis_G({.workers = num_cpus}, apalis::carry, objs) {}

  // [obj.function(x) for obj in objs]
  Results single(std::int64_t x) {
    Results all;
    for (auto& obj : objs) all.push_back(obj.function(x));
    return all;
  }
  // apalis.get([obj.function(x) for obj in objs_apalis])
  Results handler(std::int64_t x) {
    std::vector<Token<std::int64_t>> tokens;
    for (auto& obj : objs_apalis) tokens.push_back(obj.call(&A::function, x));
    return apalis::get(tokens);
  }
  // objs_apalis_G.multiple_run([obj.function(x) for obj in objs_apalis_G])()
  Results group_handler(std::int64_t x) {
    Calls tasks;
    for (auto obj : objs_apalis_G) tasks.push_back(obj.prepare(&A::function, x));
    return objs_apalis_G.multiple_run(tasks)();
  }
  // [{"i": i, "mode": "run", "name": "function", "args": (x,)} for i in range(obj_number)]
  Calls tasks(std::int64_t x) {
    Calls all;
    for (std::size_t i = 0; i < objs.size(); ++i)
      all.push_back(objs_apalis_G[i].prepare<&A::function>(x));
    return all;
  }
  Results fast_syntax(std::int64_t x) { return objs_apalis_G.multiple_run(tasks(x))(); }
  Results run(std::int64_t x) { return objs_apalis_G.run(tasks(x)); }

  std::vector<A> objs;
  std::vector<Handler<A>> objs_apalis;
  GroupHandler<A> objs_apalis_G;
};

// Ns = np.asarray(np.logspace(2, 7, 20), dtype="int"), of which a test takes the shorter ones.
std::vector<std::int64_t> Ns() {
  std::vector<std::int64_t> all;
  for (int i = 0; i < 12; ++i)
    all.push_back(static_cast<std::int64_t>(std::pow(10.0, 2 + 5.0 * i / 19)));
  return all;
}

}  // namespace

TEST_CASE("cell 3: \"class A: def function(self, n)\" adds the numbers below n", "[parity]") {
  CHECK(A{}.function(1) == 0);
  CHECK(A{}.function(10) == 45);
  CHECK(Handler{A{}}.call(&A::function, 10).get() == 45);
}

TEST_CASE("cell 4: \"objs_apalis_G = apalis.GroupHandler(objs, threads=num_cpus)\"", "[parity]") {
  const Objects o{16};
  CHECK(o.objs_apalis.size() == 16);
  CHECK(o.objs_apalis_G.size() == 16);
  CHECK(o.objs_apalis_G.workers() == num_cpus);
}

TEST_CASE("cell 6: \"print(apalis.get(tokens))\" of 16 handlers", "[parity]") {
  Objects o{16};
  std::vector<Token<std::int64_t>> tokens;
  for (auto& obj : o.objs_apalis) tokens.push_back(obj.call(&A::function, 1));
  CHECK(printed(apalis::get(tokens)) == zeros16);
}

TEST_CASE("cells 7 and 8: \"funcs\" give the same, single-threaded and by Apalis", "[parity]") {
  Objects o{16};
  for (const auto n : Ns()) {
    REQUIRE(o.single(n) == o.handler(n));
    REQUIRE(o.single(n).front() == n * (n - 1) / 2);
  }
}

TEST_CASE("cell 13: 32 objects on 16 cores", "[parity]") {
  const Objects o{32};
  CHECK(o.objs_apalis_G.size() == 32);
  CHECK(o.objs_apalis_G.workers() == num_cpus);
}

TEST_CASE("cell 14: \"Handler: print(apalis.get(tokens))\"", "[parity]") {
  Objects o{32};
  CHECK(printed(o.handler(1)) == zeros32);
}

TEST_CASE("cell 15: \"Group Handler: print(objs_apalis_G.multiple_run(tasks)())\"", "[parity]") {
  Objects o{32};
  Calls tasks;
  for (auto obj : o.objs_apalis_G) tasks.push_back(obj.prepare(&A::function, 1));
  CHECK(printed(o.objs_apalis_G.multiple_run(tasks)()) == zeros32);
}

TEST_CASE("cell 16: \"Faster but more cumbersome syntax\"", "[parity]") {
  Objects o{32};
  const auto tasks = o.tasks(1);
  CHECK(printed(o.objs_apalis_G.multiple_run(tasks)()) == zeros32);
  // Faster still, and less cumbersome:
  CHECK(printed(o.objs_apalis_G.map<&A::function>(1)) == zeros32);
}

TEST_CASE("cell 17: \"Runs the tasks and directly returns the outputs\"", "[parity]") {
  Objects o{32};
  const auto tasks = o.tasks(1);
  CHECK(printed(o.objs_apalis_G.run(tasks)) == zeros32);
}

TEST_CASE("cells 18 and 21: \"single\" and the four ways to write it give the same", "[parity]") {
  Objects o{32};
  for (const auto n : Ns()) {
    const auto expected = o.single(n);
    REQUIRE(o.handler(n) == expected);
    REQUIRE(o.group_handler(n) == expected);
    REQUIRE(o.run(n) == expected);
    REQUIRE(o.fast_syntax(n) == expected);
    REQUIRE(o.objs_apalis_G.map(&A::function, n) == expected);
  }
}
