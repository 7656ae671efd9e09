// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sleeping on a word of shared memory, and ordering against the one about to sleep.

#include <atomic>
#include <chrono>
#include <cstdint>

namespace apalis::detail::sys {

inline constexpr std::uint32_t every_bit = 0xffffffffU;

/// Sleeps while `word` holds `expected`, until woken, a signal, or `limit` has passed; spurious
/// returns are possible, so callers loop. Process-shared.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds limit, std::uint32_t bits = every_bit) noexcept;

/// The same without a limit.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::uint32_t bits = every_bit) noexcept;

/// Wakes every sleeper on `word` whose bits meet `bits`.
void futex_wake_all(const std::atomic<std::uint32_t>& word,
                    std::uint32_t bits = every_bit) noexcept;

/// Registers this process (and its future children) for heavy_barrier(). False where the kernel
/// has none (before 4.16, or a sandbox): both sides must then use seq_cst fences.
[[nodiscard]] bool register_heavy_barrier() noexcept;

/// A full memory barrier on every thread of every registered process (membarrier
/// GLOBAL_EXPEDITED). It lets the frequent side of a Dekker-style handshake do without a fence:
/// a store before a load there needs only light_barrier().
void heavy_barrier() noexcept;

/// Partner of heavy_barrier(): keeps the compiler from reordering; the CPU is handled over there.
inline void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace apalis::detail::sys
