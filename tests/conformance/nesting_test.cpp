// SPDX-License-Identifier: BSL-1.0
// Handlers that are made inside a child.
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Backend;
using apalis::Handler;
using namespace conformance;

namespace {

struct Inner {
  int total = 0;
  int add(int x) { return total += x; }
  std::vector<int> echo(const std::vector<int>& v) { return v; }
  int refuse() { throw std::out_of_range("inner refuses"); }
  int pid() const { return static_cast<int>(::getpid()); }
};

// Owns a handler that it made itself, and so lives in the middle.
class Middle {
 public:
  explicit Middle(Backend backend, int start = 0) : inner_(on<Inner>(backend, start)) {}
  int add(int x) { return inner_.call(&Inner::add, x).get(); }
  std::vector<int> echo(const std::vector<int>& v) { return inner_.call(&Inner::echo, v).get(); }
  int refuse() { return inner_.call(&Inner::refuse).get(); }
  int inner_pid() { return inner_.call(&Inner::pid).get(); }
  int own_pid() const { return static_cast<int>(::getpid()); }

 private:
  Handler<Inner> inner_;
};

class Outer {
 public:
  explicit Outer(Backend backend) : middle_(on<Middle>(backend, backend, 1000)) {}
  int add(int x) { return middle_.call(&Middle::add, x).get(); }

 private:
  Handler<Middle> middle_;
};

// Makes handlers only when it is called.
struct Lazy {
  std::vector<Handler<Inner>> inner;
  int grow(int backend) {
    inner.push_back(on<Inner>(static_cast<Backend>(backend)));
    return static_cast<int>(inner.size());
  }
  int sum(int x) {
    int s = 0;
    for (auto& h : inner) s += h.call(&Inner::add, x).get();
    return s;
  }
  int brief(int backend) {
    return on<Inner>(static_cast<Backend>(backend), 5).call(&Inner::add, 1).get();
  }
};

}  // namespace

TEST_CASE("an object may own a handler of its own", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Middle>(backend, backend);
  CHECK(h.call(&Middle::add, 5).get() == 5);
  CHECK(h.call(&Middle::add, 5).get() == 10);
  if (apalis::capabilities(backend).isolates) {
    const int inner = h.call(&Middle::inner_pid).get();
    CHECK(inner != h.call(&Middle::own_pid).get());
    CHECK(inner != static_cast<int>(::getpid()));
  }
}

TEST_CASE("handlers nest three deep", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Outer>(backend, backend);
  CHECK(h.call(&Outer::add, 5).get() == 1005);
}

TEST_CASE("large values pass through nested handlers", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Middle>(backend, backend);
  const std::vector<int> v(1'000'000, 3);
  CHECK((h.call(&Middle::echo, v).get() == v));
}

TEST_CASE("exceptions keep their type through nested handlers", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Middle>(backend, backend);
  auto t = h.call(&Middle::refuse);
  try {
    t.get();
    FAIL("nothing was thrown");
  } catch (const std::out_of_range& e) {
    CHECK(std::string(e.what()) == "inner refuses");
    CHECK(dynamic_cast<const apalis::RemoteError*>(&e) != nullptr);
  }
}

TEST_CASE("a child makes and ends handlers as it goes", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Lazy>(backend);
  for (int i = 1; i <= 5; ++i) CHECK(h.call(&Lazy::grow, static_cast<int>(backend)).get() == i);
  CHECK(h.call(&Lazy::sum, 2).get() == 10);
  for (int i = 0; i < 5; ++i) CHECK(h.call(&Lazy::brief, static_cast<int>(backend)).get() == 6);
  CHECK(h.call(&Lazy::sum, 2).get() == 20);
}

TEST_CASE("parent and child make handlers side by side", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Handler<Middle>> middles;
  std::vector<Handler<Inner>> plain;
  for (int i = 0; i < 5; ++i) {
    middles.push_back(on<Middle>(backend, backend, 100 * i));
    plain.push_back(on<Inner>(backend, i));
  }
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(middles[i].call(&Middle::add, 1).get() == 100 * static_cast<int>(i) + 1);
    CHECK(plain[i].call(&Inner::add, 1).get() == static_cast<int>(i) + 1);
  }
}

TEST_CASE("a carried object uses a handler on another backend", "[nesting]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const auto other = backend == Backend::serial ? Backend::processes : Backend::serial;
  auto h = on<Middle>(backend, other, 50);
  CHECK(h.call(&Middle::add, 1).get() == 51);
}
