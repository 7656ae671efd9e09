// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for several calls at once, whatever links they are on.

#include <apalis/detail/actor/link.hpp>
#include <cstddef>
#include <span>

namespace apalis::detail::actor {

/// Waits until `count` of the states have an outcome or the deadline has passed. Null entries
/// count as having one. Returns how many have.
std::size_t wait_many(std::span<State* const> states, std::size_t count, Deadline deadline);

}  // namespace apalis::detail::actor
