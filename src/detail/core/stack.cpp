// SPDX-License-Identifier: BSL-1.0
#include <pthread.h>

#include <apalis/detail/core/stack.hpp>
#include <cstddef>

namespace apalis::detail::core {
namespace {

StackBounds find_bounds() noexcept {
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  std::size_t size = 0;
  const bool known = ::pthread_attr_getstack(&attributes, &low, &size) == 0;
  ::pthread_attr_destroy(&attributes);
  if (!known) return {};
  const auto begin = reinterpret_cast<std::uintptr_t>(low);
  return {begin, begin + size};
}

}  // namespace

const StackBounds& this_threads_stack() noexcept {
  thread_local const StackBounds bounds = find_bounds();
  return bounds;
}

}  // namespace apalis::detail::core
