// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/core/function_ref.hpp>
#include <memory>
#include <utility>

#include "support/catch.hpp"

using apalis::detail::FunctionRef;

namespace {

int twice(FunctionRef<int(int)> f, int x) { return f(f(x)); }

}  // namespace

TEST_CASE("a function ref calls what it refers to", "[function_ref]") {
  int calls = 0;
  CHECK(twice([&](int x) { return ++calls, x + 1; }, 5) == 7);
  CHECK(calls == 2);
  const auto constant = [](int x) { return x * 2; };
  CHECK(twice(constant, 3) == 12);
}

TEST_CASE("a function ref passes on what can only be moved", "[function_ref]") {
  const auto take = [](std::unique_ptr<int> p) { return *p; };
  const FunctionRef<int(std::unique_ptr<int>)> ref{take};
  CHECK(ref(std::make_unique<int>(4)) == 4);
}
