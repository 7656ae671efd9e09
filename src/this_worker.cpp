// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/current_call.hpp>
#include <apalis/this_worker.hpp>

namespace apalis {

using detail::actor::current_call;

bool ThisWorker::exists() const noexcept { return current_call.control != nullptr; }

std::uint32_t ThisWorker::index() const noexcept { return current_call.worker; }

std::uint32_t ThisWorker::generation() const noexcept { return current_call.generation; }

pid_t ThisWorker::pid() const noexcept { return ::getpid(); }

StopToken ThisWorker::stop_token() const noexcept {
  if (!exists()) return {};
  return {current_call.control->orders.stop,
          detail::channel::stop_order(current_call.position)};
}

}  // namespace apalis
