// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/core/stack.hpp>
#include <apalis/detail/wire/loading.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis::detail::wire {
namespace {

// For what lies between two checks, and for throwing: a quarter of a small stack, no more of others.
constexpr std::uintptr_t most_reserved = std::uintptr_t{256} * 1024;

// On a stack of which nothing is known.
constexpr std::uintptr_t some_stack = std::uintptr_t{64} * 1024;

}  // namespace

void StackGuard::ask() {
  const core::StackBounds& stack = core::this_threads_stack();
  if (stack.holds(here())) {
    floor_ = stack.low + std::min(most_reserved, (stack.high - stack.low) / 4);
  } else {
    floor_ = start_ - std::min(start_, some_stack);
  }
  if (here() < floor_)
    throw Malformed("malformed message: values are nested deeper than this thread's stack is");
}

struct SharedTypes::Map {
  std::unordered_map<std::uint32_t, const std::type_info*> of;
};

void SharedTypes::clear() noexcept { delete types_; }

void SharedTypes::add(std::uint32_t id) {
  if (types_ == nullptr) types_ = new Map;
  types_->of[id] = expected_;
}

void SharedTypes::check(std::uint32_t id) const {
  if (types_ == nullptr) return;
  const auto found = types_->of.find(id);
  if (found != types_->of.end() && *found->second != *expected_)
    throw Malformed(
        "malformed message: pointers of different types share an object (which works for "
        "polymorphic types only)");
}

}  // namespace apalis::detail::wire
