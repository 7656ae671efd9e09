// SPDX-License-Identifier: BSL-1.0
#pragma once

// The calls whose replies are due, in the order of their requests.

#include <apalis/detail/actor/state.hpp>
#include <cstddef>

namespace apalis::detail::actor {

/// **Owns** nothing: a chain through the states themselves.
/// **Threads:** one at a time.
class PendingQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] State* front() const noexcept { return first_; }

  void push(State& state) noexcept {
    state.next = nullptr;
    if (first_ == nullptr) {
      first_ = &state;
    } else {
      last_->next = &state;
    }
    last_ = &state;
    ++size_;
  }

  /// Calls `use` with each, from the oldest on; it must leave the queue alone.
  template <class Use>
  void for_each(Use use) const {
    for (State* state = first_; state != nullptr; state = state->next) use(*state);
  }

  [[nodiscard]] State* pop() noexcept {
    State* state = first_;
    if (state != nullptr) {
      first_ = state->next;
      --size_;
    }
    return state;
  }

  /// Takes a state out, wherever it stands.
  void remove(State& state) noexcept {
    State* before = nullptr;
    for (State* at = first_; at != nullptr; before = at, at = at->next) {
      if (at != &state) continue;
      (before == nullptr ? first_ : before->next) = at->next;
      if (last_ == at) last_ = before;
      --size_;
      return;
    }
  }

 private:
  State* first_ = nullptr;
  State* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace apalis::detail::actor
