// SPDX-License-Identifier: BSL-1.0
// Apalis's first page, "Getting started with Apalis", cell by cell.
#include <apalis/apalis.hpp>
#include <utility>
#include <vector>

#include "python.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;
using parity::printed;

namespace {

struct A {
  int expensive(int x) {
    parity::A{}.function(1'000'000);  // there: time.sleep(1)
    return x;
  }
};

}  // namespace

// The library keeps a reservation and a pipe from its first handler on: they belong to the
// baseline.
void apalis_test_warm_up() {
  Handler<A> h;
  h.call(&A::expensive, 1).get();
}

// a = A()
// obj = apalis.Handler(a) # Sends the object to a child process.
// token = obj.expensive(5) # Sends the task to the object in the child process.
// token() # Calling the token yields the result of the operation.
TEST_CASE("cell: \"Sends the object to a child process ... Calling the token yields the result\"",
          "[parity]") {
  A a;
  Handler obj{a};
  auto token = obj.call(&A::expensive, 5);
  CHECK(token() == 5);
  CHECK(token() == 5);
}

// es = [apalis.Handler(A()) for _ in range(16)]
// tokens = [obj.expensive(5) for obj in objs]
// apalis.get(tokens) # Gets the results of the operations.
TEST_CASE("cell: \"The same can be done with multiple Handlers at once\"", "[parity]") {
  std::vector<Handler<A>> objs;
  for (int i = 0; i < 16; ++i) objs.emplace_back(A{});
  std::vector<Token<int>> tokens;
  for (auto& obj : objs) tokens.push_back(obj.call(&A::expensive, 5));
  CHECK(printed(apalis::get(tokens)) == "[5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]");
}
