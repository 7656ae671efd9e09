// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tag that says: this very object goes to the worker, carried by the fork.

namespace apalis {

struct carry_t {
  explicit carry_t() = default;
};
inline constexpr carry_t carry{};

}  // namespace apalis
