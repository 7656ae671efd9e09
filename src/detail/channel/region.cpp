// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/free_memory.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace apalis::detail::channel {
namespace {

constexpr std::size_t most_slices = std::size_t{64} * 1024;  // 64 GiB of addresses, no memory
constexpr std::size_t fewest_slices = 16;
constexpr std::size_t most_block_bytes = 16 * most_slices * slice_bytes;  // 1 TiB, no memory either

struct Holder {
  std::optional<Region> region;
};
constinit sys::PerProcess<Holder> current;

}  // namespace

Region& Region::of_this_process(const sys::ForkLock& /*held*/) {
  auto& region = current.get().region;
  // Where addresses or file sizes are limited (ulimit -v, -f), a smaller reservation still serves
  // fewer handlers and smaller arrays.
  std::size_t slices = most_slices;
  std::size_t block_bytes = most_block_bytes;
  while (!region) {
    try {
      region.emplace(slices, block_bytes);
    } catch (const SystemError& e) {
      const bool too_large = e.code() == ENOMEM || e.code() == EINVAL || e.code() == EFBIG;
      if (block_bytes == 0 || !too_large) throw;
      if (block_bytes > slices * slice_bytes) {
        block_bytes /= 4;
      } else if (slices > fewest_slices) {
        slices /= 4;
      } else {
        block_bytes = 0;
      }
    }
  }
  return *region;
}

const Region* Region::existing(const sys::ForkLock& /*held*/) {
  const auto& region = current.get().region;
  return region ? &*region : nullptr;
}

Region::Region(std::size_t slices, std::size_t block_bytes)
    : memory_("apalis", header_bytes + slices * slice_bytes + block_bytes),
      slices_(slices),
      blocks_(block_bytes),
      cores_(sys::usable_cores()),
      breath_(measure_breath()),
      heavy_(sys::register_heavy_barrier()) {
  memory_.back(0, control_bytes);
  header_ = ::new (memory_.data()) RegionHeader{};
}

std::uint32_t Region::acquire(const sys::ForkLock& /*held*/) {
  if (free_.empty() && fresh_ == slices_)
    throw SystemError("apalis: no address space left for another worker (see ulimit -v)", ENOMEM);
  const auto slice = free_.empty() ? fresh_ : free_.back();
  if (free_.capacity() <= fresh_) free_.reserve(2 * (free_.capacity() + 8));  // for release()
  const auto offset = static_cast<std::size_t>(base(slice) - memory_.data());
  if (backs_on_demand()) {
    constexpr std::size_t page = 4096;
    memory_.back(offset, control_bytes + page);  // control and first requests
    memory_.back(offset + control_bytes + ring_bytes, page);
  } else {
    memory_.back(offset, lane_bytes);
  }
  if (free_.empty()) {
    ++fresh_;
  } else {
    free_.pop_back();
  }
  return slice;
}

void Region::release(std::uint32_t slice, const sys::ForkLock& /*held*/) noexcept {
  if (!sys::discard(base(slice), slice_bytes)) {
    // Whatever a child left in the rings must not look like a message to the next one. What it held
    // was forgotten before.
    std::memset(base(slice), 0, control_bytes + 2 * ring_bytes);
  }
  free_.push_back(slice);  // acquire() made room for it
}

void Region::back_generation(std::uint32_t block) const {
  constexpr std::size_t words = sys::page_size / sizeof(GenerationWord);
  memory_.back(control_bytes + block / words * sys::page_size, sys::page_size);
}

void Region::back_held(std::uint32_t slice, std::uint32_t from, std::uint32_t to) const {
  const auto back = [&](const auto& first, const auto& last) {
    const auto offset_of = [&](const auto& word) {
      return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&word) - memory_.data());
    };
    const auto begin = offset_of(first) / sys::page_size * sys::page_size;
    memory_.back(begin, BlockSpace::rounded(offset_of(last) + 1 - begin));
  };
  if (from >= to) return;
  back(held(slice, from), held(slice, to - 1));
  back(inherited(slice, from), inherited(slice, to - 1));
}

std::span<std::byte> Region::acquire_block(std::size_t bytes, Content content) {
  if (content == Content::any) {
    if (const auto kept = take_kept_block(BlockSpace::rounded(bytes)); !kept.empty()) return kept;
  }
  tend_kept_block();
  require_free_memory(BlockSpace::rounded(bytes));
  std::optional<std::size_t> offset;
  {
    const std::lock_guard lock{block_mutex_};
    offset = blocks_.take(bytes);
  }
  if (!offset)
    throw SystemError("apalis: no address space left for a shared block (see ulimit -v and -f)",
                      ENOMEM);
  const std::span block{block_range().data() + *offset, BlockSpace::rounded(bytes)};
  const auto back = [&] {
    memory_.back(static_cast<std::size_t>(block.data() - memory_.data()), block.size());
  };
  try {
    try {
      back();
    } catch (const SystemError&) {
      if (!keeps_block_.load(std::memory_order_relaxed)) throw;
      give_back_kept_block(std::chrono::seconds{0});
      back();
    }
  } catch (...) {
    sys::discard(block.data(), block.size());  // what there was of it is zero as well
    free_block(block);
    throw;
  }
  return block;
}

void Region::require_free_memory(std::size_t size) {
  constexpr std::size_t least_asked = std::size_t{64} << 20;  // to ask costs 1 % of backing this
  if (size < least_asked || size <= sys::free_memory()) return;
  give_back_kept_block(std::chrono::seconds{0});
  const auto left = sys::free_memory();
  if (size <= left) return;
  constexpr std::size_t mega = std::size_t{1} << 20;
  throw SystemError("apalis: a shared block of " + std::to_string(size / mega) +
                        " MiB is more than the " + std::to_string(left / mega) +
                        " MiB of memory that this machine or its container has left: free some, "
                        "or keep the data in a file (share(x, {.directory = ...}))",
                    ENOMEM);
}

void Region::release_block(std::span<std::byte> block, Content content) noexcept {
  constexpr std::size_t least_kept = std::size_t{1} << 20;
  constexpr std::size_t most_kept = std::size_t{256} << 20;
  if (content == Content::any && block.size() >= least_kept && block.size() <= most_kept) {
    const std::lock_guard lock{block_mutex_};
    std::swap(block, kept_);
    keeps_block_.store(true, std::memory_order_relaxed);
    kept_since_ = std::chrono::steady_clock::now();
  }
  if (!block.empty()) give_back(block);
}

std::span<std::byte> Region::take_kept_block(std::size_t size) noexcept {
  const std::lock_guard lock{block_mutex_};
  if (kept_.size() != size) return {};
  keeps_block_.store(false, std::memory_order_relaxed);
  return std::exchange(kept_, {});
}

void Region::give_back_kept_block(std::chrono::seconds age) noexcept {
  std::span<std::byte> old;
  {
    const std::lock_guard lock{block_mutex_};
    if (std::chrono::steady_clock::now() - kept_since_ < age) return;
    old = std::exchange(kept_, {});
    keeps_block_.store(false, std::memory_order_relaxed);
  }
  if (!old.empty()) give_back(old);
}

void Region::give_back(std::span<std::byte> block) noexcept {
  if (!sys::discard(block.data(), block.size())) std::memset(block.data(), 0, block.size());
  free_block(block);
}

void Region::free_block(std::span<std::byte> block) noexcept {
  const std::lock_guard lock{block_mutex_};
  blocks_.give_back(static_cast<std::size_t>(block.data() - block_range().data()), block.size());
}

bool Region::isolate(std::uint32_t slice, bool hidden) const noexcept {
  std::byte* const first = memory_.data() + control_bytes + generations_bytes;
  std::byte* const mine = base(slice);
  std::byte* const after = mine + slice_bytes;
  const auto blocks = block_range();
  std::byte* const later = blocks.data() + blocks_.reach();
  std::byte* const end = blocks.data() + blocks.size();
  if (hidden && !sys::show(mine, slice_bytes)) return false;
  const auto hide = [](std::byte* from, std::byte* to) {
    if (to > from) sys::hide(from, static_cast<std::size_t>(to - from));
  };
  // A kernel that refuses leaves the others' slices visible: less protection, same behaviour.
  hide(first, mine);
  if (later == blocks.data()) {
    hide(after, end);
  } else {
    hide(after, blocks.data());
    hide(later, end);
  }
  return true;
}

}  // namespace apalis::detail::channel
