// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/agenda.hpp>
#include <apalis/event_loop.hpp>

namespace apalis {

using detail::actor::Agenda;

std::size_t poll() { return Agenda::of_this_process().poll(); }

int notify_fd() { return Agenda::of_this_process().notify_fd(); }

}  // namespace apalis
