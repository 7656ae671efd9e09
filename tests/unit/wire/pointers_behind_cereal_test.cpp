// SPDX-License-Identifier: BSL-1.0
// clang-format off: the order is what is tested
#include <cereal/types/memory.hpp>
#include "pointer_round_trips.hpp"
// clang-format on

TEST_CASE("smart pointers cross where cereal's functions for them come first", "[pointers]") {
  check_pointers();
}
