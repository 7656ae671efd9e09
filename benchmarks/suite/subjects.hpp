// SPDX-License-Identifier: BSL-1.0
#pragma once

// The objects that the suite's handlers own.

#include <cstdint>
#include <string>
#include <vector>

#include "task_kernel.hpp"

namespace apalis::bench {

/// Methods that do nothing: what is left is the price of the call.
struct Echo {
  int f(int x) { return x + 1; }
  std::string string(std::string text) { return text; }
  std::vector<std::uint8_t> bytes(std::vector<std::uint8_t> data) { return data; }
};

/// A task of known length.
struct Worker {
  std::uint64_t work(std::uint64_t steps) { return run_kernel(steps); }
};

}  // namespace apalis::bench
