// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/thread_call.hpp>

namespace apalis::detail::actor {

constinit thread_local ThreadCall* thread_call = nullptr;

}  // namespace apalis::detail::actor
