// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much memory decoding takes, at its height.

#include <cstddef>

namespace apalis::fuzz {

/// **Threads:** counts those of its own thread, from its construction on.
class Meter {
 public:
  Meter();
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  /// Ends the program with a sentence if more was held at once than `bytes` of input may ask for.
  void allow(std::size_t bytes) const;
};

}  // namespace apalis::fuzz
