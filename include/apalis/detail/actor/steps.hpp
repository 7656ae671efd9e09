// SPDX-License-Identifier: BSL-1.0
#pragma once

// In a worker: a call that consists of steps, such as a batch of its items. Whoever sent it may take
// back those that have not begun: Link::limit_steps().

#include <apalis/detail/sys/futex.hpp>
#include <atomic>
#include <cstdint>

namespace apalis::detail::actor {

/// A call and a number of its steps, as one word.
using StepWord = std::uint64_t;
constexpr StepWord step_word(std::uint32_t call, std::uint32_t number) noexcept {
  return StepWord{call} << 32 | number;
}
constexpr std::uint32_t call_of(StepWord word) noexcept {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::uint32_t number_in(StepWord word) noexcept {
  return static_cast<std::uint32_t>(word);
}

/// As a limit: how many steps may begin. The empty word limits nothing.
constexpr StepWord limit_word(std::uint32_t call, std::uint32_t most) noexcept {
  return step_word(call, most + 1);
}

/// Of the call that runs. **Threads:** the worker's.
class Steps {
 public:
  Steps() noexcept;

  /// Whether the next step, `index`, may begin: they begin in order, from 0 on.
  [[nodiscard]] bool begin(std::uint32_t index) noexcept {
    if (begun_ == nullptr) return true;
    // First the claim, then the look; who takes back sets the limit, then looks at claims. So one
    // of both sees the other, or both do: then the step is left to the other side.
    begun_->store(step_word(call_, index + 1), std::memory_order_release);  // partner: steps_begun()
    if (heavy_) {
      sys::light_barrier();  // partner: the heavy barrier of limit_steps()
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    const auto limit = limit_->load(std::memory_order_relaxed);
    return call_of(limit) != call_ || number_in(limit) == 0 || index < number_in(limit) - 1;
  }

 private:
  std::atomic<StepWord>* begun_ = nullptr;  // null in what is no worker
  const std::atomic<StepWord>* limit_ = nullptr;
  std::uint32_t call_ = 0;
  bool heavy_ = false;  // who takes back has heavy_barrier()
};

}  // namespace apalis::detail::actor
