// SPDX-License-Identifier: BSL-1.0
#pragma once

// Processes by a number that one word of shared memory holds and that no later process has, be it
// that it gets the same pid.

#include <sys/types.h>

#include <cstdint>

namespace apalis::detail::sys {

/// The pid below, and above when it started, in ticks of 10 ms since the boot; 0 there where the
/// system does not tell (no /proc). 0: no process.
using Incarnation = std::uint64_t;

[[nodiscard]] constexpr pid_t pid_of(Incarnation process) noexcept {
  return static_cast<pid_t>(static_cast<std::uint32_t>(process));
}

/// This process. **Threads:** any.
[[nodiscard]] Incarnation own_incarnation() noexcept;

/// The process that has this pid now: a child that is not reaped yet, so that there is no doubt.
[[nodiscard]] Incarnation incarnation_of(pid_t pid) noexcept;

/// Whether it is gone, reaped or not. Reads a file: some 10 µs. False where nothing tells.
/// **Peer:** any number will do.
[[nodiscard]] bool has_ended(Incarnation process) noexcept;

}  // namespace apalis::detail::sys
