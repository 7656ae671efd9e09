// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls in a program that has an event loop of its own: epoll, Asio, a game's frames.
//
//   loop.watch(apalis::notify_fd(), [] { apalis::poll(); });     // readable: poll() has work
//   h.call(&Model::step, 0.1).then([](double x) { show(x); });   // runs inside poll()

#include <cstddef>

namespace apalis {

/// Takes in the outcomes that continuations (then, co_await) of this process wait for, and runs
/// these. Returns how many ran. **Blocks** never, but for what they do. **Threads:** any.
std::size_t poll();

/// A descriptor that becomes readable when poll() has something to do: an outcome that a
/// continuation waits for, the end of a worker, a time limit. For epoll, poll, select and what is
/// made of them; watch it for reading, level-triggered, and call poll() each time. It stays open
/// as long as the process; do not read or close it. From the first call of this on, poll() costs
/// a few microseconds. **Throws** SystemError. **Threads:** any.
[[nodiscard]] int notify_fd();

}  // namespace apalis
