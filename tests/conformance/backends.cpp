// SPDX-License-Identifier: BSL-1.0
#include "backends.hpp"

#include "support/leak_check.hpp"

namespace {

struct Nothing {
  int zero() { return 0; }
};

}  // namespace

// The library keeps a reservation and a pipe from its first handler on: they belong to the
// baseline.
void apalis_test_warm_up() {
  apalis::Handler<Nothing> h;
  h.call(&Nothing::zero).get();
}

apalis::Backend conformance::each_backend() {
  return GENERATE(apalis::Backend::processes, apalis::Backend::threads,
                  apalis::Backend::serial);
}
