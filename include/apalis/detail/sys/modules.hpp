// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which code is mapped: the executable and the shared objects loaded at one moment.

#include <apalis/detail/sys/per_process.hpp>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace apalis::detail::sys {

/// Address ranges of the modules loaded when it was taken, sorted.
class ModuleMap {
 public:
  struct Range {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;  // one past the end
    [[nodiscard]] bool contains(const void* address) const noexcept {
      const auto a = reinterpret_cast<std::uintptr_t>(address);
      return a - first < last - first;
    }
  };
  explicit ModuleMap(std::vector<Range> ranges) noexcept : ranges_(std::move(ranges)) {}

  /// The range that holds `address`, or an empty one.
  [[nodiscard]] Range find(const void* address) const noexcept;

 private:
  std::vector<Range> ranges_;
};

/// The modules loaded now. Cached until the next dlopen or dlclose.
[[nodiscard]] std::shared_ptr<const ModuleMap> loaded_modules(const ForkLock&);

}  // namespace apalis::detail::sys
