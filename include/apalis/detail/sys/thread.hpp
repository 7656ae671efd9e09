// SPDX-License-Identifier: BSL-1.0
#pragma once

// A thread of the library's own.

#include <pthread.h>

#include <string>

namespace apalis::detail::sys {

/// **Owns** the thread: whoever drops it must have joined it, except in a fork, which has none.
class Thread {
 public:
  Thread() noexcept = default;

  /// Starts `body(argument)` with all signals blocked: the program's handlers run on its own
  /// threads. `name`: for ps and top, up to 15 characters of it. Throws SystemError.
  Thread(const std::string& name, void (*body)(void* argument), void* argument);

  /// Waits for its end; at once if there is none.
  void join() noexcept;

 private:
  pthread_t id_{};
  bool joinable_ = false;
};

/// Undoes for the calling thread what a Thread's start did to its signals.
void unblock_signals() noexcept;

}  // namespace apalis::detail::sys
