// SPDX-License-Identifier: BSL-1.0
#pragma once

// One direction of a channel as one process sees it: plain pointers into its mapping.

#include <apalis/detail/channel/layout.hpp>

namespace apalis::detail::channel {

/// Where in the ring a position lies. Neighbouring positions share a cache line; neighbouring lines
/// are scattered over their page. In order, the receiver's hardware prefetcher would run ahead into
/// lines that the sender is about to write and take them from it: that doubled the price of a
/// pipelined call.
constexpr std::uint32_t unit_index(std::uint32_t position) noexcept {
  constexpr std::uint32_t lines = 64;  // a page of them
  constexpr std::uint32_t scatter = 37;
  const std::uint32_t unit = position % lane_units;
  const std::uint32_t line = (unit / 2 * scatter) % lines;
  return unit / (2 * lines) * (2 * lines) + line * 2 + unit % 2;
}

struct Lane {
  Unit* units = nullptr;
  std::byte* arena = nullptr;
  Progress* progress = nullptr;

  [[nodiscard]] Unit& unit(std::uint32_t position) const noexcept {
    return units[unit_index(position)];
  }
  [[nodiscard]] std::byte* bytes(std::uint32_t position) const noexcept {
    return arena + position % arena_bytes;
  }
};
static_assert((lane_units & (lane_units - 1)) == 0 && (arena_bytes & (arena_bytes - 1)) == 0,
              "positions wrap at 2^32, so ring sizes must be powers of two");

/// Leaves no message in the first `units` units and no progress: whatever the processes that used
/// this lane wrote, the next ones find nothing of it. Threads may look for messages meanwhile.
inline void clear(const Lane& lane, std::uint32_t units) noexcept {
  for (std::uint32_t i = 0; i < units; ++i) lane.units[i].head.store(0, std::memory_order_relaxed);
  lane.progress->word.store(0, std::memory_order_release);
}

/// The two lanes and the control page of a slice that starts at `base`.
struct SliceView {
  ControlPage* control = nullptr;
  Lane requests;
  Lane replies;

  static SliceView at(std::byte* base) noexcept {
    auto* control = reinterpret_cast<ControlPage*>(base);
    std::byte* at = base + control_bytes;
    SliceView view{control, {}, {}};
    view.requests.units = reinterpret_cast<Unit*>(at);
    view.replies.units = reinterpret_cast<Unit*>(at + ring_bytes);
    view.requests.arena = at + 2 * ring_bytes;
    view.replies.arena = at + 2 * ring_bytes + arena_bytes;
    view.requests.progress = &control->request_progress;
    view.replies.progress = &control->reply_progress;
    return view;
  }
};

}  // namespace apalis::detail::channel
