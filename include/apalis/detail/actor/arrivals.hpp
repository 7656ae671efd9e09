// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which of many states got their outcomes, in the order in which they did.

#include <apalis/detail/actor/source.hpp>
#include <cstddef>
#include <span>

namespace apalis::detail::actor {

/// **Owns** nothing of the states, whose tokens must outlive it.
/// **Threads:** one at a time.
class Arrivals {
 public:
  explicit Arrivals(std::span<State* const> states);
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  /// Waits for the next one; its index. Call it once for each state.
  [[nodiscard]] std::size_t next();

 private:
  struct Core;
  Core* core_;
};

}  // namespace apalis::detail::actor
