// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include <apalis/apalis.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "leak_check.hpp"

namespace {

struct Nothing {
  int zero() { return 0; }
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::stoull(text);
}

}  // namespace

// The library keeps a reservation and a pipe from its first handler on: they belong to the
// baseline.
void apalis_test_warm_up() {
  apalis::Handler<Nothing> h;
  h.call(&Nothing::zero).get();
}

std::uint64_t stress::seed() {
  static const std::uint64_t value = [] {
    const auto s = number_from("APALIS_STRESS_SEED", std::random_device{}());
    std::printf("APALIS_STRESS_SEED=%llu\n", static_cast<unsigned long long>(s));
    std::fflush(stdout);
    return s;
  }();
  return value;
}

std::uint64_t stress::calls(double share) {
  static const std::uint64_t all = number_from("APALIS_STRESS_CALLS", 1'000'000);
  return static_cast<std::uint64_t>(static_cast<double>(all) * share) + 1;
}
