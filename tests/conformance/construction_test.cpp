// SPDX-License-Identifier: BSL-1.0
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Backend;
using apalis::Handler;
using namespace conformance;

namespace {

struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
  int pid() const { return static_cast<int>(::getpid()); }
};

// Has everything that no serialisation could carry.
struct Unserialisable {
  std::unique_ptr<int> owned;
  std::function<int(int)> function;
  int* pointer = nullptr;
  int apply(int x) const { return function(x) + *owned + *pointer; }
};

struct Pinned {
  explicit Pinned(std::unique_ptr<int> start, const std::string& text)
      : value(*start), length(text.size()) {}
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  int next() {
    const std::lock_guard lock(mutex);
    return ++value;
  }
  std::size_t text_length() const { return length; }

  std::mutex mutex;
  std::atomic<int> value;
  std::size_t length;
};

struct Census {
  static inline int alive = 0;
  Census() { ++alive; }
  Census(const Census&) { ++alive; }
  Census(Census&&) noexcept { ++alive; }
  ~Census() { --alive; }
  int count() const { return alive; }
};

struct Unwilling {
  explicit Unwilling(int code) {
    throw std::invalid_argument("no Unwilling from " + std::to_string(code));
  }
  int value() const { return 1; }
};

struct Shape {
  virtual ~Shape() = default;
  virtual std::string name() const { return "shape"; }
};
struct Circle final : Shape {
  std::string name() const override { return "circle"; }
};

struct ConstructionPid {
  int made_in = static_cast<int>(::getpid());
};

}  // namespace

TEST_CASE("a handler without arguments makes its object in a process of its own",
          "[construction]") {
  Handler<Counter> h;
  CHECK(h.backend() == Backend::processes);
  CHECK(h.call(&Counter::pid).get() != static_cast<int>(::getpid()));
  CHECK(h.call(&Counter::pid).get() == static_cast<int>(h.pid()));
  CHECK(h.call(&Counter::add, 5).get() == 5);
}

TEST_CASE("a handler without options carries or constructs its object", "[construction]") {
  Handler<Counter> carried{Counter{5}};
  CHECK(carried.call(&Counter::add, 1).get() == 6);
  Handler<Counter> constructed{std::in_place, 7};
  CHECK(constructed.call(&Counter::add, 1).get() == 8);
}

TEST_CASE("options come first and are followed by a tag", "[construction]") {
  Handler<Counter> in_place{{.name = "a"}, std::in_place, 5};
  CHECK(in_place.name() == "a");
  CHECK(in_place.call(&Counter::add, 0).get() == 5);
  Handler<Counter> carried{{.name = "c"}, apalis::carry, Counter{6}};
  CHECK(carried.name() == "c");
  CHECK(carried.call(&Counter::add, 0).get() == 6);
  Handler<Counter> plain{{.name = "p"}, std::in_place};
  CHECK(plain.call(&Counter::add, 0).get() == 0);
}

TEST_CASE("the cpu option pins the worker and leaves the parent alone", "[construction]") {
  cpu_set_t allowed;
  REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) ++cpu;
  Handler<Counter> h{{.cpu = cpu}, std::in_place, 0};
  const int only = h.call([](Counter&) {
                      cpu_set_t mine;
                      if (::sched_getaffinity(0, sizeof mine, &mine) != 0) return -1;
                      if (CPU_COUNT(&mine) != 1) return -2;
                      for (int i = 0; i < CPU_SETSIZE; ++i)
                        if (CPU_ISSET(i, &mine)) return i;
                      return -3;
                    }).get();
  CHECK(only == cpu);
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&allowed, &after));
}

TEST_CASE("an object constructed in place is made by the worker", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<ConstructionPid>(backend);
  CHECK(h.get(&ConstructionPid::made_in).get() == static_cast<int>(h.pid()));
}

TEST_CASE("a carried object is this very object and need not be serialisable", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int outside = 100;
  Unserialisable object{std::make_unique<int>(10), [k = 3](int x) { return k * x; }, &outside};
  Handler<Unserialisable> h{options_for(backend), apalis::carry, std::move(object)};
  CHECK(h.call(&Unserialisable::apply, 2).get() == 116);
}

TEST_CASE("an object that can neither move nor copy is constructed from any arguments",
          "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Pinned>(backend, std::make_unique<int>(41), "four");
  CHECK(h.call(&Pinned::next).get() == 42);
  CHECK(h.call(&Pinned::text_length).get() == 4);
}

TEST_CASE("the parent's instance of a carried object is destroyed right after the fork",
          "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  REQUIRE(Census::alive == 0);
  {
    Handler<Census> h{options_for(backend), apalis::carry, Census{}};
    CHECK(Census::alive == (apalis::capabilities(backend).isolates ? 0 : 1));
    CHECK(h.call(&Census::count).get() >= 1);  // a child never unwinds what it inherited
  }
  CHECK(Census::alive == 0);
}

TEST_CASE("a constructor that throws makes every call fail with its exception", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Unwilling>(backend, 7);
  for (int i = 0; i < 3; ++i) {
    auto t = h.call(&Unwilling::value);
    CHECK_THROWS_AS(t.get(), std::invalid_argument);
    try {
      t.get();
    } catch (const std::invalid_argument& e) {
      CHECK(std::string(e.what()) == "no Unwilling from 7");
      CHECK(dynamic_cast<const apalis::RemoteError*>(&e) != nullptr);
    }
  }
}

TEST_CASE("a constructor that throws fails the calls that were made before anyone noticed",
          "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Unwilling>(backend, 8);
  std::vector<apalis::Token<int>> tokens;
  for (int i = 0; i < 500; ++i) tokens.push_back(h.call(&Unwilling::value));
  for (auto& t : tokens) CHECK_THROWS_AS(t.get(), std::invalid_argument);
}

TEST_CASE("an object of a polymorphic type answers as itself", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Circle>(backend);
  CHECK(h.call(&Shape::name).get() == "circle");
}

TEST_CASE("many handlers live side by side", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Handler<Counter>> handlers;
  for (int i = 0; i < 100; ++i) handlers.push_back(on<Counter>(backend, i));
  std::vector<apalis::Token<int>> tokens;
  for (auto& h : handlers) tokens.push_back(h.call(&Counter::add, 1000));
  for (int i = 0; i < 100; ++i) CHECK(tokens[static_cast<std::size_t>(i)].get() == 1000 + i);
}

TEST_CASE("a handler says what it is", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  apalis::Options options = options_for(backend);
  options.name = "speaker";
  Handler<Counter> h{options, std::in_place, 1};
  CHECK(h.valid());
  CHECK(h.alive());
  CHECK(h.name() == "speaker");
  CHECK(h.backend() == backend);
  CHECK(h.capabilities().isolates == apalis::capabilities(backend).isolates);
  CHECK(h.capabilities().kills == apalis::capabilities(backend).kills);
  CHECK((h.pid() == ::getpid()) == !apalis::capabilities(backend).isolates);
}

TEST_CASE("an object's state is its worker's own", "[construction]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  static int global = 0;
  global = 1;
  auto h = on<Counter>(backend);
  h.call([](Counter&) { global = 2; }).get();
  CHECK(h.call([](Counter&) { return global; }).get() == 2);
  CHECK(global == (apalis::capabilities(backend).isolates ? 1 : 2));
}

TEST_CASE("each backend names its capabilities", "[backends]") {
  const auto processes = apalis::capabilities(Backend::processes);
  CHECK(processes.isolates);
  CHECK(processes.kills);
  CHECK(processes.carries);
  CHECK_FALSE(processes.remote);
  for (const auto backend : {Backend::threads, Backend::serial}) {
    const auto inside = apalis::capabilities(backend);
    CHECK_FALSE(inside.isolates);
    CHECK_FALSE(inside.kills);
    CHECK(inside.carries);
    CHECK_FALSE(inside.remote);
  }
  CHECK(std::string(apalis::to_string(Backend::processes)) == "processes");
  CHECK(std::string(apalis::to_string(Backend::threads)) == "threads");
  CHECK(std::string(apalis::to_string(Backend::serial)) == "serial");
}

TEST_CASE("asking a backend for what it lacks is a clear error", "[backends]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Counter>(backend);
  if (apalis::capabilities(backend).kills) {
    CHECK_NOTHROW(h.kill());
  } else {
    try {
      h.kill();
      FAIL("kill() was accepted");
    } catch (const apalis::Error& e) {
      CHECK(contains(e.what(), std::string(apalis::to_string(backend)) + " backend"));
    }
    CHECK(h.call(&Counter::add, 1).get() == 1);
  }
}

TEST_CASE("the serial backend runs inside call and returns a ready token", "[backends]") {
  auto h = on<Counter>(Backend::serial);
  static bool ran = false;
  ran = false;
  auto t = h.call([](Counter&) { ran = true; });
  CHECK(ran);
  CHECK(t.ready());
}

TEST_CASE("cpu_count is what this process may use", "[backends]") {
  cpu_set_t allowed;
  REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  CHECK(apalis::cpu_count() >= 1);
  CHECK(static_cast<int>(apalis::cpu_count()) <= CPU_COUNT(&allowed));
}
