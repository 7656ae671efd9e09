// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/actor/agenda.hpp>
#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/error.hpp>

namespace apalis::detail::actor {

Link::~Link() {
  if (listed_ && is_here()) Agenda::of_this_process().remove(*this);
}

void Link::join_agenda() {
  if (listed_) [[likely]]
    return;
  Agenda::of_this_process().add(*this);
  listed_ = true;
}

void Link::refuse_closed() const {
  throw Error(
      fmt::format("apalis: handler '{}' is closed: calls must come before close()", options().name));
}

void Link::surface(PostFailures& failures, std::uint64_t count) const {
  if (failures.has_unreported()) call_hook(failures.report(pid()));
  if (const auto error = failures.take(count, pid(), options().name)) std::rethrow_exception(error);
}

void Link::report_lost(const std::exception_ptr& error) const noexcept {
  actor::report_lost(options().on_error, error);
}

void Link::check_other_module(const void* address) const {
  if (modules_ == nullptr || modules_->find(address).contains(address)) return;
  throw Error(
      "apalis: this call's code lies in a module that was loaded after the worker was made, so the "
      "worker does not have it: make the handler after dlopen()");
}

}  // namespace apalis::detail::actor
