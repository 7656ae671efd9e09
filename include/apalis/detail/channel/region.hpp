// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one shared mapping of a process, cut into slices and, behind them, blocks of any size: a
// handler or an array adds no mapping, so the thousandth fork costs what the first one did.

#include <apalis/detail/channel/block_space.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/event.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace apalis::detail::channel {

/// **Owns** the reservation and, in this process's private memory, the list of free slices and that
/// of free addresses for blocks.
/// **Threads:** acquire and release under the fork lock, the rest from any.
/// **Fork:** a child keeps the mapping, hides all but its slice and the blocks that there were
/// (isolate()), and makes a region of its own if it needs one.
/// **Throws** SystemError: no memory, no address space.
class Region {
 public:
  /// This process's region, made at first use.
  [[nodiscard]] static Region& of_this_process(const sys::ForkLock& held);
  /// The same if it was made, else null.
  [[nodiscard]] static const Region* existing(const sys::ForkLock& held);

  /// `block_bytes`: addresses for blocks.
  explicit Region(std::size_t slices, std::size_t block_bytes = 0);

  /// A zeroed slice whose control page and first page of each ring are backed (all of it where
  /// pages can't be backed on demand).
  [[nodiscard]] std::uint32_t acquire(const sys::ForkLock& held);
  void release(std::uint32_t slice, const sys::ForkLock& held) noexcept;

  /// Whole pages of zeros, at least `bytes` (not 0) of them and aligned to a page, which no access
  /// can miss. Throws SystemError: no memory, no addresses left.
  [[nodiscard]] std::span<std::byte> acquire_block(std::size_t bytes,
                                                   Content content = Content::zero);
  /// Takes back what acquire_block() gave, and gives its memory back to the system: if its content
  /// was `any`, a second later at the earliest, for the next one of that size and kind.
  void release_block(std::span<std::byte> block, Content content = Content::zero) noexcept;
  /// Gives back what was kept for a second. To be called now and then.
  void tend_kept_block() noexcept {
    if (keeps_block_.load(std::memory_order_relaxed)) [[unlikely]]
      give_back_kept_block(std::chrono::seconds{1});
  }
  /// A child sees the blocks below this from the start.
  [[nodiscard]] const std::byte* visible_blocks_end() const noexcept {
    return block_range().data() + blocks_.reach();
  }
  /// The addresses of all blocks.
  [[nodiscard]] std::span<std::byte> block_range() const noexcept {
    return {memory_.data() + memory_.size() - blocks_.size(), blocks_.size()};
  }

  [[nodiscard]] std::byte* base(std::uint32_t slice) const noexcept {
    return memory_.data() + header_bytes + slice * slice_bytes;
  }
  [[nodiscard]] RegionHeader& header() const noexcept { return *header_; }

  /// The word of a block in the header; the parent has backed it.
  [[nodiscard]] GenerationWord& generation(std::uint32_t block) const noexcept {
    return reinterpret_cast<GenerationWord*>(memory_.data() + control_bytes)[block];
  }
  void back_generation(std::uint32_t block) const;
  /// What a worker says of a block; backed for all below a number that back_held() was given.
  [[nodiscard]] HeldWord& held(std::uint32_t slice, std::uint32_t block) const noexcept {
    return reinterpret_cast<HeldWord*>(base(slice) + lane_bytes)[block];
  }
  [[nodiscard]] InheritedByte& inherited(std::uint32_t slice, std::uint32_t block) const noexcept {
    auto* const bytes = base(slice) + lane_bytes + most_blocks * sizeof(HeldWord);
    return reinterpret_cast<InheritedByte*>(bytes)[block];
  }
  void back_held(std::uint32_t slice, std::uint32_t from, std::uint32_t to) const;

  /// The process that made it; see sys::process_stamp().
  [[nodiscard]] std::uint64_t stamp() const noexcept { return stamp_; }
  /// The cores that this process was allowed when it made this.
  [[nodiscard]] std::span<const int> cores() const noexcept { return core_list_; }
  [[nodiscard]] Occupancy occupancy() const noexcept {
    return {header_->awake.children, cores_, breath_};
  }
  /// Readable once a process of this region rang for one who waits for that; see Doorbell.
  [[nodiscard]] int event_fd() const noexcept { return event_.get(); }
  [[nodiscard]] bool heavy_barriers() const noexcept { return heavy_; }
  [[nodiscard]] bool backs_on_demand() const noexcept { return memory_.backs_on_demand(); }

  /// In a child: makes every other slice inaccessible, and all blocks made after the fork. Those
  /// that there were it may have references to, in its copy of the parent's memory. `hidden`: its own
  /// slice is, too, as it was forked from a child that did this. False if that can't be undone: the
  /// child has no slice then.
  [[nodiscard]] bool isolate(std::uint32_t slice, bool hidden = false) const noexcept;

 private:
  static constexpr std::size_t header_bytes = slice_bytes;  // keeps slices aligned

  /// The kernel would begin to back a block that can't be, and kill somebody half way.
  void require_free_memory(std::size_t size);
  void free_block(std::span<std::byte> block) noexcept;
  [[nodiscard]] std::span<std::byte> take_kept_block(std::size_t size) noexcept;
  void give_back_kept_block(std::chrono::seconds age) noexcept;
  void give_back(std::span<std::byte> block) noexcept;

  sys::SharedMemory memory_;
  sys::Fd event_ = sys::make_event();
  RegionHeader* header_ = nullptr;
  std::size_t slices_;
  std::uint32_t fresh_ = 0;           // slices from here on were never used
  std::vector<std::uint32_t> free_;  // used before, zeroed again
  std::mutex block_mutex_;
  BlockSpace blocks_;
  std::span<std::byte> kept_;  // one freed block that has its pages still
  std::atomic<bool> keeps_block_{false};
  std::chrono::steady_clock::time_point kept_since_;
  std::vector<int> core_list_ = sys::allowed_core_list();
  std::uint64_t stamp_ = sys::process_stamp();
  int cores_;
  int breath_;
  bool heavy_;
};

/// A slice held: returned to its region on destruction, which must be in the process that acquired
/// it; elsewhere forget() it.
class Slice {
 public:
  Slice(Region& region, const sys::ForkLock& held)
      : region_(&region), index_(region.acquire(held)) {}
  Slice(const Slice&) = delete;
  Slice& operator=(const Slice&) = delete;
  ~Slice() { reset(); }

  void reset() noexcept {
    if (region_ == nullptr) return;
    const auto held = sys::lock_forks();
    std::exchange(region_, nullptr)->release(index_, held);
  }

  /// Leaves it to the process that it belongs to.
  void forget() noexcept { region_ = nullptr; }

  [[nodiscard]] Region& region() const noexcept { return *region_; }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::byte* base() const noexcept { return region_->base(index_); }

 private:
  Region* region_;
  std::uint32_t index_;
};

}  // namespace apalis::detail::channel
