// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for several calls at once, wherever they come from.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/core/function_ref.hpp>
#include <chrono>
#include <cstddef>
#include <span>

namespace apalis::detail::actor {

/// How long a thread yields before it sleeps.
inline constexpr std::chrono::microseconds usual_patience{200};

/// Polls the sources, and sleeps in between, until `done`. False if the deadline came first.
bool drive_all(std::span<Source* const> sources, FunctionRef<bool()> done, Deadline deadline,
               std::chrono::microseconds patience = usual_patience);

/// Waits until `count` of the states have an outcome or the deadline has passed. Null entries
/// count as having one. Returns how many have.
std::size_t wait_many(std::span<State* const> states, std::size_t count, Deadline deadline);

}  // namespace apalis::detail::actor
