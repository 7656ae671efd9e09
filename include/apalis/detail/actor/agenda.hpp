// SPDX-License-Identifier: BSL-1.0
#pragma once

// The links of this process whose outcomes something waits for without a thread: what
// apalis::poll() looks at, and what makes apalis::notify_fd() readable.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/sys/event.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace apalis::detail::actor {

/// **Owns** nothing of the links: each takes itself off before it ends.
/// **Threads:** any. **Fork:** each process has its own.
class Agenda {
 public:
  [[nodiscard]] static Agenda& of_this_process();

  void add(Source& source);
  void remove(Source& source) noexcept;

  /// Polls every source on it. Returns how many continuations ran.
  std::size_t poll();

  /// Readable whenever poll() may have something to do. Throws SystemError.
  [[nodiscard]] int notify_fd();

 private:
  struct Entry {
    Source* source;
    pid_t pid = 0;    // whose end is watched
    sys::Fd process;  // by this descriptor
  };

  [[nodiscard]] std::vector<Source*> retain_all();
  void arm();

  std::mutex mutex_;
  std::vector<Entry> entries_;
  int event_ = -1;                        // the region's
  std::optional<sys::EventSet> watched_;  // once somebody wants notify_fd()
};

}  // namespace apalis::detail::actor
