// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/current_call.hpp>

namespace apalis::detail::actor {

constinit CurrentCall current_call;

}  // namespace apalis::detail::actor
