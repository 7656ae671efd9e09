// SPDX-License-Identifier: BSL-1.0
#include "pointer_round_trips.hpp"

TEST_CASE("smart pointers cross", "[pointers]") {
  check_pointers();
}
