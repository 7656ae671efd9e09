// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>

namespace apalis::detail::channel {
namespace {

constexpr std::size_t most_slices = std::size_t{64} * 1024;  // 64 GiB of addresses, no memory
constexpr std::size_t fewest_slices = 16;

struct Holder {
  std::optional<Region> region;
};
constinit sys::PerProcess<Holder> current;

}  // namespace

Region& Region::of_this_process(const sys::ForkLock& /*held*/) {
  auto& region = current.get().region;
  // Where addresses or file sizes are limited (ulimit -v, -f), a smaller reservation still serves
  // fewer handlers.
  for (std::size_t slices = most_slices; !region; slices /= 4) {
    try {
      region.emplace(slices);
    } catch (const SystemError& e) {
      const bool too_large = e.code() == ENOMEM || e.code() == EINVAL || e.code() == EFBIG;
      if (slices <= fewest_slices || !too_large) throw;
    }
  }
  return *region;
}

Region::Region(std::size_t slices)
    : memory_("apalis", header_bytes + slices * slice_bytes),
      slices_(slices),
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
    memory_.back(offset, control_bytes + 2 * ring_bytes + std::size_t{2} * arena_bytes);
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
    // Whatever a child left in the rings must not look like a message to the next one.
    std::memset(base(slice), 0, control_bytes + 2 * ring_bytes);
  }
  free_.push_back(slice);  // acquire() made room for it
}

bool Region::isolate(std::uint32_t slice, bool hidden) const noexcept {
  std::byte* const first = memory_.data() + control_bytes;
  std::byte* const mine = base(slice);
  std::byte* const after = mine + slice_bytes;
  std::byte* const end = memory_.data() + memory_.size();
  if (hidden && !sys::show(mine, slice_bytes)) return false;
  // A kernel that refuses leaves the others' slices visible: less protection, same behaviour.
  if (mine > first) sys::hide(first, static_cast<std::size_t>(mine - first));
  if (end > after) sys::hide(after, static_cast<std::size_t>(end - after));
  return true;
}

}  // namespace apalis::detail::channel
