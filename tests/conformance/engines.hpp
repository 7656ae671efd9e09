// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every test of an Engine starts from: one on each backend, with one worker and with three.
//
//   const auto kind = each_engine();
//   CAPTURE(kind);
//   Engine engine = make_engine(kind);

#include <apalis/engine.hpp>
#include <cstddef>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "backends.hpp"

namespace conformance {

struct EngineKind {
  apalis::Backend backend;
  int workers;
};
inline std::ostream& operator<<(std::ostream& out, const EngineKind& kind) {
  return out << apalis::to_string(kind.backend) << " with " << kind.workers;
}

/// Generates every kind.
[[nodiscard]] inline EngineKind each_engine() {
  const auto backend = each_backend();
  const auto workers = GENERATE(1, 3);
  return {backend, workers};
}

[[nodiscard]] inline apalis::Engine make_engine(EngineKind kind) {
  return apalis::Engine{kind.backend, {.max_workers = kind.workers}};
}

/// Whether maps run in the caller.
[[nodiscard]] inline bool runs_here(EngineKind kind) {
  return kind.workers == 1 || kind.backend == apalis::Backend::serial;
}

/// Items: from 0 on.
[[nodiscard]] inline std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace conformance
