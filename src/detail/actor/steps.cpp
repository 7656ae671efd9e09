// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/steps.hpp>
#include <apalis/detail/actor/thread_call.hpp>

namespace apalis::detail::actor {

Steps::Steps() noexcept {
  if (thread_call != nullptr) {
    begun_ = &thread_call->steps;
    limit_ = &thread_call->step_limit;
    call_ = static_cast<std::uint32_t>(thread_call->order);
  } else if (current_call.control != nullptr) {
    begun_ = &current_call.control->calls.steps;
    limit_ = &current_call.control->orders.steps;
    call_ = current_call.position;
    heavy_ = current_call.heavy_barriers;
  }
}

}  // namespace apalis::detail::actor
