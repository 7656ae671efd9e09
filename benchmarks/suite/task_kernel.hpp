// SPDX-License-Identifier: BSL-1.0
#pragma once

// The work of a task: a chain of multiplications that no compiler shortens and no memory slows.
// A task is a number of steps, never a span of the clock: a task that reads the clock finishes on
// time on a core that it shares, and hides what sharing costs.

#include <chrono>
#include <cstdint>

namespace apalis::bench {

std::uint64_t run_kernel(std::uint64_t steps) noexcept;

/// The steps that take about `span` on this machine.
std::uint64_t steps_lasting(std::chrono::nanoseconds span);

}  // namespace apalis::bench
