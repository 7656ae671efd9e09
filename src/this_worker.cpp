// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/thread_call.hpp>
#include <apalis/this_worker.hpp>

namespace apalis {

using detail::actor::current_call;
using detail::actor::thread_call;

bool ThisWorker::exists() const noexcept {
  return thread_call != nullptr || current_call.control != nullptr;
}

std::uint32_t ThisWorker::index() const noexcept {
  return thread_call != nullptr ? thread_call->worker : current_call.worker;
}

std::uint32_t ThisWorker::generation() const noexcept {
  return thread_call != nullptr ? 0 : current_call.generation;
}

pid_t ThisWorker::pid() const noexcept { return ::getpid(); }

StopToken ThisWorker::stop_token() const noexcept {
  if (thread_call != nullptr) return {thread_call->stop, thread_call->order};
  if (!exists()) return {};
  return {current_call.control->orders.stop,
          detail::channel::stop_order(current_call.position)};
}

}  // namespace apalis
