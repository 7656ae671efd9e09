// SPDX-License-Identifier: BSL-1.0
#pragma once

// One thread's random operations on several handlers, each applied to a local model as well.

#include <apalis/apalis.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "ledger.hpp"

namespace stress {

/// What all drivers of a test have found.
struct Findings {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> wrong{0};          ///< results that differ from the model's
  std::atomic<std::uint64_t> refused_posts{0};  ///< one-way calls that must fail
  std::atomic<std::uint64_t> told_posts{0};     ///< those that drain() told of
};

/// **Threads:** one driver a thread, each with a lane of its own; the handlers are shared.
class Driver {
 public:
  Driver(std::vector<apalis::Handler<Ledger>>& handlers, std::size_t lane, std::mt19937_64 random,
         Findings& findings);

  /// Makes about `calls` random operations and looks at every result that it keeps.
  void run(std::uint64_t calls);

  /// Whether this driver's lane of the worker's object is as the model says.
  [[nodiscard]] bool agrees(std::size_t handler, const Ledger& object) const;

 private:
  struct Pending {
    std::variant<apalis::Token<std::uint64_t>, apalis::Token<std::string>,
                 apalis::Token<std::vector<std::uint32_t>>,
                 apalis::Token<std::vector<std::uint64_t>>>
        token;
    std::uint64_t digest = 0;  // of the result that the model gives
    enum class End { value, exception, value_or_cancelled } end = End::value;
  };

  void step();
  void batch(std::size_t which);
  void keep(Pending pending);
  void settle_one();
  void check(Pending& pending);
  void drain(std::size_t which);
  std::string random_text();
  std::vector<std::uint32_t> random_numbers();

  std::vector<apalis::Handler<Ledger>>& handlers_;
  std::vector<Ledger> models_;  // one for each handler, of which only lane_ is used
  std::size_t lane_;
  std::mt19937_64 random_;
  Findings& findings_;
  std::vector<Pending> pending_;
  std::size_t window_ = 1;  // how many may be in flight just now
};

}  // namespace stress
