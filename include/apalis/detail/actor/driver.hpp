// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a started coroutine's token waits with: whatever the coroutine itself waits for at the
// moment.

#include <apalis/detail/actor/source.hpp>

namespace apalis::detail::actor {

/// **Owns** a reference to the source that the coroutine waits for.
/// **Threads:** any: the coroutine moves between threads that drive its sources.
class Driver : public Source {
 public:
  [[nodiscard]] static Driver* make();

  /// The coroutine is about to wait for something of this source.
  virtual void follow(Source& source) = 0;
};

}  // namespace apalis::detail::actor
