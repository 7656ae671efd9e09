// SPDX-License-Identifier: BSL-1.0
#pragma once

// In a worker: which call is being run, for whoever asks from within it.

#include <apalis/detail/channel/layout.hpp>
#include <cstdint>

namespace apalis::detail::actor {

/// **Threads:** written by the worker's main thread, between calls; a call's own threads may read.
struct CurrentCall {
  channel::ControlPage* control = nullptr;  // null in a process that is no worker
  std::uint32_t position = 0;
  std::uint32_t generation = 0;
  std::uint32_t worker = 0;
  bool heavy_barriers = false;  // Region::heavy_barriers()

  void enter(channel::ControlPage& page, std::uint32_t g, std::uint32_t w, bool heavy) noexcept {
    control = &page;
    position = 0;
    generation = g;
    worker = w;
    heavy_barriers = heavy;
  }
};

extern constinit CurrentCall current_call;

}  // namespace apalis::detail::actor
