// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/block_space.hpp>
#include <apalis/detail/sys/memory.hpp>

namespace apalis::detail::channel {

BlockSpace::BlockSpace(std::size_t bytes) : bytes_(bytes) {
  if (bytes > 0) free_.push_back({0, bytes});
}

std::size_t BlockSpace::rounded(std::size_t bytes) noexcept {
  return (bytes + sys::page_size - 1) & ~(sys::page_size - 1);
}

std::optional<std::size_t> BlockSpace::take(std::size_t bytes) {
  if (bytes > bytes_) return std::nullopt;
  const auto needed = rounded(bytes);
  const auto at =
      std::ranges::find_if(free_, [&](const Range& range) { return range.bytes >= needed; });
  if (at == free_.end()) return std::nullopt;
  const auto offset = at->offset;
  // Room for give_back(), which must not fail: each range taken can leave one more that is free.
  const auto index = at - free_.begin();
  if (free_.capacity() < taken_ + 3) free_.reserve(2 * (taken_ + 3));
  auto& range = free_[static_cast<std::size_t>(index)];
  range.offset += needed;
  range.bytes -= needed;
  if (range.bytes == 0) free_.erase(free_.begin() + index);
  ++taken_;
  reach_ = std::max(reach_, offset + needed);
  return offset;
}

void BlockSpace::give_back(std::size_t offset, std::size_t bytes) noexcept {
  const auto size = rounded(bytes);
  --taken_;
  const auto next = std::ranges::lower_bound(free_, offset, {}, &Range::offset);
  const bool joins_next = next != free_.end() && offset + size == next->offset;
  const bool joins_last = next != free_.begin() && (next - 1)->offset + (next - 1)->bytes == offset;
  if (joins_last && joins_next) {
    (next - 1)->bytes += size + next->bytes;
    free_.erase(next);
  } else if (joins_last) {
    (next - 1)->bytes += size;
  } else if (joins_next) {
    next->offset = offset;
    next->bytes += size;
  } else {
    free_.insert(next, {offset, size});  // take() made room for it
  }
}

}  // namespace apalis::detail::channel
