// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/core/cpu_relax.hpp>
#include <apalis/detail/core/prefetch.hpp>

#include "support/catch.hpp"

TEST_CASE("hints change nothing", "[core]") {
  alignas(64) unsigned char line[64] = {1, 2, 3};
  apalis::detail::cpu_relax();
  apalis::detail::prefetch_to_read(line);
  apalis::detail::prefetch_to_write(line);
  CHECK(line[0] + line[1] + line[2] == 6);
}
