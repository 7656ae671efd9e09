// SPDX-License-Identifier: BSL-1.0
#pragma once

// State that each process has for itself: a fork starts with a fresh one.

#include <apalis/detail/sys/process_stamp.hpp>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace apalis::detail::sys {

/// One T per process, made at first use and never destroyed, so that static objects may use it
/// until the very end. A forked process leaves its parent's T untouched (its mutexes may have been
/// locked by threads that do not exist there) and makes its own.
/// **Threads:** any.
template <class T>
class PerProcess {
 public:
  constexpr PerProcess() noexcept = default;
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;

  [[nodiscard]] T& get() {
    const auto stamp = process_stamp();
    Node* node = current_.load(std::memory_order_acquire);  // partner: the exchange below
    while (node == nullptr || node->stamp != stamp) {
      auto fresh = std::make_unique<Node>(stamp, node);
      if (current_.compare_exchange_strong(node, fresh.get(), std::memory_order_acq_rel)) {
        node = fresh.release();
      }
    }
    return node->value;
  }

 private:
  struct Node {
    Node(std::uint64_t s, const Node* p) : stamp(s), parents(p) {}
    std::uint64_t stamp;
    const Node* parents;  // never followed: without it a leak checker calls the parent's T lost
    T value{};
  };
  std::atomic<Node*> current_{nullptr};
};

/// Held while this library forks and while it changes what a fork must find consistent (slices,
/// the module cache, the parent's pipe). A child starts with an unlocked one. Recursive: what a
/// constructor took under it, its unwinding gives back under it.
using ForkLock = std::unique_lock<std::recursive_mutex>;
[[nodiscard]] ForkLock lock_forks();

}  // namespace apalis::detail::sys
