// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several objects in one place, each called by its index there.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

namespace apalis::detail::wire {

/// Objects of one type at equal distances. Whose they are, its maker knows.
struct Objects {
  std::byte* first = nullptr;
  std::size_t stride = 0;
  std::uint32_t count = 0;
  std::vector<std::pair<std::uint32_t, std::exception_ptr>> broken;  // not made, and why; by index

  /// Throws what making it threw.
  [[nodiscard]] void* at(std::uint32_t index) const {
    if (!broken.empty()) [[unlikely]] {
      const auto found = std::ranges::lower_bound(
          broken, index, {}, [](const auto& entry) { return entry.first; });
      if (found != broken.end() && found->first == index) std::rethrow_exception(found->second);
    }
    return first + index * stride;
  }
};

/// In place of an index: the Objects themselves, not one of them.
inline constexpr std::uint32_t all_objects = ~std::uint32_t{0};

}  // namespace apalis::detail::wire
