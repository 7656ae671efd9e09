// SPDX-License-Identifier: BSL-1.0
#pragma once

// The objects that the suite's handlers own.

#include <cstddef>
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

/// One of very many.
struct Small {
  std::uint64_t index;
  double value;
  double add(double x) { return value += x; }
};
inline Small make_small(std::size_t index) {
  return {.index = index, .value = static_cast<double>(index)};
}
inline std::vector<Small> make_smalls(std::size_t count) {
  std::vector<Small> smalls(count);
  for (std::size_t i = 0; i < count; ++i) smalls[i] = make_small(i);
  return smalls;
}

}  // namespace apalis::bench
