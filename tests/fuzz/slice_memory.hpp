// SPDX-License-Identifier: BSL-1.0
#pragma once

// A slice in plain memory.

#include <apalis/detail/channel/lane.hpp>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace apalis::fuzz {

/// Of exactly the size that is used, so that a sanitizer sees every access outside it.
class SliceMemory {
 public:
  static constexpr std::size_t size = detail::channel::control_bytes +
                                      2 * detail::channel::ring_bytes +
                                      2 * std::size_t{detail::channel::arena_bytes};

  [[nodiscard]] std::byte* data() noexcept { return memory_.get(); }
  [[nodiscard]] detail::channel::SliceView view() noexcept {
    return detail::channel::SliceView::at(data());
  }
  void clear() noexcept { std::memset(data(), 0, size); }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete (memory, std::align_val_t{4096});
    }
  };
  std::unique_ptr<std::byte, Free> memory_{
      static_cast<std::byte*>(::operator new (size, std::align_val_t{4096}))};
};

}  // namespace apalis::fuzz
