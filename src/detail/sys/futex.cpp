// SPDX-License-Identifier: BSL-1.0
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <limits>

namespace apalis::detail::sys {
namespace {

constexpr std::chrono::hours a_century{24 * 365 * 100};

void wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* until,
          std::uint32_t bits) noexcept {
  // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. Every outcome (woken, changed,
  // timed out, interrupted) sends the caller back to look, so there is nothing to report.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, until, nullptr, bits);
}

}  // namespace

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds limit, std::uint32_t bits) noexcept {
  limit = std::min<std::chrono::nanoseconds>(limit, a_century);  // far from overflowing the clock
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  const auto total = limit.count() + until.tv_nsec;
  until.tv_sec += total / 1'000'000'000;
  until.tv_nsec = total % 1'000'000'000;
  wait(word, expected, &until, bits);
}

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::uint32_t bits) noexcept {
  wait(word, expected, nullptr, bits);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word, std::uint32_t bits) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, std::numeric_limits<int>::max(), nullptr, nullptr,
            bits);
}

bool register_heavy_barrier() noexcept {
  return injected_fault(Call::membarrier) == 0 &&
         ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void heavy_barrier() noexcept {
  ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

}  // namespace apalis::detail::sys
