// SPDX-License-Identifier: BSL-1.0
// Rows of docs/parity.md that no cell of Apalis's examples shows, its known faults among them.
#include <sched.h>
#include <sys/wait.h>

#include <apalis/apalis.hpp>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using apalis::GroupHandler;
using apalis::Handler;
using apalis::Token;

namespace {

struct Inner {
  int y = 1;
  int f(int x) const { return x * y; }
};
struct Middle {
  Inner b;
};
struct A {
  Middle a;
  int y = 0;
  std::vector<double> data;

  A() = default;
  explicit A(int start) : y(start) {}

  int f(int x) { return y += x; }
  void g() {}
  int refuse() { throw std::runtime_error("refused"); }
  double sum(std::span<const double> matrix) const {
    return std::accumulate(matrix.begin(), matrix.end(), 0.0);
  }
  int cores() const {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    return CPU_COUNT(&allowed);
  }
  int core() const { return ::sched_getcpu(); }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(a.b.y, y, data);
  }
};

std::string title(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.substr(0, text.find('\0'));
}

}  // namespace

TEST_CASE("an exception is its own token's, not that of whichever waits", "[parity]") {
  Handler<A> obj;
  auto fails = obj.call(&A::refuse);
  auto works = obj.call(&A::f, 5);
  CHECK(works.get() == 5);
  CHECK_THROWS_WITH(fails.get(), "refused");
}

TEST_CASE("a token whose result is None can be called twice", "[parity]") {
  Handler<A> obj;
  auto token = obj.call(&A::g);
  token();
  token();
  CHECK(token.ready());
}

TEST_CASE("obj.a.b.f(5), obj.a.b.y.get() and obj.a.b.y = 7", "[parity]") {
  Handler<A> obj;
  CHECK(obj.call([](A& o, int x) { return o.a.b.f(x); }, 5).get() == 5);
  CHECK(obj.call([](A& o) { return o.a.b.y; }).get() == 1);
  obj.post([](A& o, int y) { o.a.b.y = y; }, 7);
  CHECK(obj.call([](A& o, int x) { return o.a.b.f(x); }, 5).get() == 35);
}

TEST_CASE("obj.y.get() and obj.y = 5", "[parity]") {
  Handler<A> obj;
  obj.set(&A::y, 5);
  CHECK(obj.get(&A::y).get() == 5);
}

TEST_CASE("RemoteClass(A, params): the object is constructed over there", "[parity]") {
  Handler<A> obj{std::in_place, 5};
  CHECK(obj.get(&A::y).get() == 5);
  GroupHandler<A> objs{{.workers = 2}, std::in_place, 4, 5};
  CHECK(objs.map(&A::f, 0) == std::vector{5, 5, 5, 5});
}

TEST_CASE("modes eval and exec are a lambda", "[parity]") {
  Handler<A> obj;
  CHECK(obj.call([](A& o) { return o.y + 1; }).get() == 1);
  obj.post([](A& o) { o.y = 41; });
  CHECK(obj.call([](A& o) { return o.y + 1; }).get() == 42);
}

TEST_CASE("mode copy, with an edit before the copy", "[parity]") {
  Handler<A> obj;
  obj.post([](A& o) { o.data.assign(1000, 1.0); });
  CHECK(obj.copy().get().data.size() == 1000);
  const A small = obj.copy([](A& o) { o.data.clear(); }).get();
  CHECK(small.data.empty());
  CHECK(obj.call([](A& o) { return o.data.size(); }).get() == 1000);
}

TEST_CASE("single_run, multiple_run and run, on a Handler", "[parity]") {
  Handler<A> obj;
  CHECK(obj.call(&A::f, 1).get() == 1);
  const std::vector tasks{obj.prepare(&A::f, 1), obj.prepare(&A::f, 2)};
  CHECK(obj.multiple_run(tasks)() == std::vector{2, 4});
  CHECK(obj.run(tasks) == std::vector{5, 7});
}

TEST_CASE("single_run, multiple_run and run, on a GroupHandler", "[parity]") {
  GroupHandler<A> objs{{.workers = 2}, std::in_place, 3};
  CHECK(objs[2].call(&A::f, 1).get() == 1);
  const std::vector tasks{objs[2].prepare(&A::f, 1), objs[0].prepare(&A::f, 2)};
  CHECK(objs.multiple_run(tasks)() == std::vector{2, 2});
  CHECK(objs.run(tasks) == std::vector{3, 4});
}

TEST_CASE("more than 1024 calls may be in flight", "[parity]") {
  Handler<A> obj;
  GroupHandler<A> objs{{.workers = 2}, std::in_place, 4};
  std::vector<Token<int>> tokens;
  for (std::size_t i = 0; i < 10'000; ++i) {
    tokens.push_back(obj.call(&A::f, 1));
    tokens.push_back(objs[i % 4].call(&A::f, 1));
  }
  const auto results = apalis::get(tokens);
  CHECK(results[19'998] == 10'000);
  CHECK(results[19'999] == 2'500);
}

TEST_CASE("objects of a group are indexed, iterated over and counted", "[parity]") {
  GroupHandler<A> objs{std::vector<A>{A{1}, A{2}, A{3}}};
  CHECK(objs.size() == 3);
  CHECK(objs[1].get(&A::y).get() == 2);
  int sum = 0;
  for (auto obj : objs) sum += obj.get(&A::y).get();
  CHECK(sum == 6);
}

TEST_CASE("affinity: a worker is tied to one core", "[parity]") {
  Handler<A> anywhere;
  const int core = anywhere.call(&A::core).get();
  Handler<A> obj{{.cpu = core}, std::in_place};
  CHECK(obj.call(&A::cores).get() == 1);
  CHECK(obj.call(&A::core).get() == core);
  GroupHandler<A> objs{{.pin = true}, std::in_place, 64};
  CHECK(objs.map(&A::cores) == std::vector<int>(64, 1));
  const auto cores = objs.map(&A::core);
  CHECK(std::set<int>(cores.begin(), cores.end()).size() == objs.workers());
}

TEST_CASE("a matrix goes to 16 objects, once for each worker", "[parity]") {
  GroupHandler<A> objs{{.workers = 2}, std::in_place, 16};
  const std::vector<double> matrix(1000 * 1000, 0.5);
  CHECK(objs.map(&A::sum, matrix) == std::vector<double>(16, 500'000.0));
}

TEST_CASE("processes are titled \"apalis: A\"", "[parity]") {
  Handler<A> obj;
  obj.call(&A::g).get();
  CHECK(title(obj.pid()) == "apalis: A");
  GroupHandler<A> objs{{.workers = 2}, std::in_place, 4};
  objs.map(&A::g);
  CHECK(title(objs.pids()[1]) == "apalis: A (worker 1 of 2)");
}

TEST_CASE("an actor may call actors: it makes them itself", "[parity]") {
  struct Outer {
    Handler<A> inner{std::in_place, 100};
    int f(int x) { return inner.call(&A::f, x).get(); }
  };
  Handler<Outer> obj;
  CHECK(obj.call(&Outer::f, 5).get() == 105);
}

TEST_CASE("a handler that a fork has taken along says that it does not work there", "[parity]") {
  struct Outer {
    Handler<A>* inner;
    bool refuses() {
      try {
        (void)inner->call(&A::f, 1);
      } catch (const apalis::Error&) {
        return true;
      }
      return false;
    }
  };
  Handler<A> inner;
  Handler<Outer> obj{std::in_place, &inner};
  CHECK(obj.call(&Outer::refuses).get());
}

TEST_CASE("every process of a group is joined", "[parity]") {
  { const GroupHandler<A> objs{{.workers = 7}, std::in_place, 10}; }
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}
