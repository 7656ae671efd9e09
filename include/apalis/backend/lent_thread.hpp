// SPDX-License-Identifier: BSL-1.0
#pragma once

// A worker's life on a thread that the program lends.

#include <apalis/backend/registry.hpp>
#include <memory>
#include <string>

namespace apalis::detail::backend {

/// As sys::Thread, on a thread that stays its owner's.
/// **Owns** the word about the body's end: whoever drops it must have joined it, except in a fork.
/// **Threads:** one at a time.
/// **Fork:** copies of the body that a fork inherits do nothing there.
class LentThread {
 public:
  LentThread() noexcept = default;

  /// Has body(argument) run by a thread that `launch` finds, and returns when it is about to begin.
  /// **Throws** what `launch` throws; TimedOut if no thread came; Error where the body was dropped,
  /// or called by this thread, or waited for. `body` then never runs.
  LentThread(const Launch& launch, const std::string& name, void (*body)(void* argument),
             void* argument);

  /// Waits for the end of the body; at once if there is none.
  void join() noexcept;

 private:
  class Lease;
  class Key;
  std::shared_ptr<Lease> lease_;
};

}  // namespace apalis::detail::backend
