// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which process is this? A number that differs between a process and any fork of it, for the price
// of a load: it lives in a page that the kernel wipes in every child (MADV_WIPEONFORK).

#include <atomic>
#include <cstdint>

namespace apalis::detail::sys {

namespace stamp {
extern std::atomic<const std::atomic<std::uint64_t>*> page;  // null until first use
[[nodiscard]] std::uint64_t renew() noexcept;
}  // namespace stamp

/// Never 0; the same for the life of the process, another one in each fork. **Threads:** any.
[[nodiscard]] inline std::uint64_t process_stamp() noexcept {
  const auto* page = stamp::page.load(std::memory_order_acquire);  // partner: renew()'s release
  if (page != nullptr) {
    const auto value = page->load(std::memory_order_relaxed);
    if (value != 0) return value;
  }
  return stamp::renew();
}

}  // namespace apalis::detail::sys
