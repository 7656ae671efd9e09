// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#if __has_include(<sys/single_threaded.h>)
#  include <sys/single_threaded.h>  // glibc 2.32
#endif

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/error.hpp>
#include <cstdio>

namespace apalis::detail::actor {

Link::~Link() = default;

int Link::count(int by) noexcept {
#if __has_include(<sys/single_threaded.h>)
  // Twice a call, so worth it: no locked instruction in a process with one thread.
  if (__libc_single_threaded != 0) {
    const int now = references_.load(std::memory_order_relaxed) + by;
    references_.store(now, std::memory_order_relaxed);
    return now;
  }
#endif
  return references_.fetch_add(by, std::memory_order_acq_rel) + by;
}

void Link::report_lost(const std::exception_ptr& error) const noexcept {
  try {
    if (options().on_error) {
      options().on_error(error);
    } else {
      fmt::print(stderr, "{}\n", describe(error));
    }
  } catch (...) {  // stderr is closed, or the hook broke its promise: there is no third way
  }
}

void Link::check_other_module(const void* address) const {
  if (modules_ == nullptr || modules_->find(address).contains(address)) return;
  throw Error(
      "apalis: this call's code lies in a module that was loaded after the worker was made, so the "
      "worker does not have it: make the handler after dlopen()");
}

}  // namespace apalis::detail::actor
