// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/fault.hpp>
#include <atomic>

namespace apalis::detail::sys {
namespace {
constinit std::atomic<FaultHook> current_hook{nullptr};
}

FaultHook set_fault_hook(FaultHook hook) noexcept { return current_hook.exchange(hook); }

int injected_fault(Call call) noexcept {
  const FaultHook hook = current_hook.load(std::memory_order_acquire);  // partner: the exchange
  return hook == nullptr ? 0 : hook(call);
}

}  // namespace apalis::detail::sys
