// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/core/stack.hpp>
#include <cstdint>
#include <thread>

#include "support/catch.hpp"

using apalis::detail::core::StackBounds;
using apalis::detail::core::this_threads_stack;

namespace {

std::uintptr_t here() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

}  // namespace

TEST_CASE("each thread knows its own stack", "[stack]") {
  const StackBounds mine = this_threads_stack();
  CHECK(mine.holds(here()));
  CHECK_FALSE(mine.holds(mine.high));
  CHECK_FALSE(mine.holds(mine.low - 1));
  StackBounds other;
  bool holds = false;
  std::thread([&] {
    other = this_threads_stack();
    holds = other.holds(here());
  }).join();
  CHECK(holds);
  CHECK(other.low != mine.low);
  CHECK_FALSE(other.holds(here()));
}

TEST_CASE("of no stack nothing is held", "[stack]") {
  CHECK_FALSE(StackBounds{}.holds(here()));
}
