// SPDX-License-Identifier: BSL-1.0
#include <link.h>

#include <algorithm>
#include <apalis/detail/sys/modules.hpp>

namespace apalis::detail::sys {
namespace {

/// The loader's counts of dlopen and dlclose: a change means that the cache is stale.
struct Generation {
  unsigned long long loaded = 0;
  unsigned long long unloaded = 0;
  bool operator==(const Generation&) const = default;
};

struct Cache {
  Generation generation;
  std::shared_ptr<const ModuleMap> map;
};

constinit PerProcess<Cache> cache;

Generation current_generation() {
  Generation result;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<Generation*>(data) = {info->dlpi_adds, info->dlpi_subs};
        return 1;  // the counts are the same in every entry
      },
      &result);
  return result;
}

std::vector<ModuleMap::Range> current_ranges() {
  std::vector<ModuleMap::Range> ranges;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        ModuleMap::Range range{~std::uintptr_t{0}, 0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD) continue;
          const auto first = static_cast<std::uintptr_t>(info->dlpi_addr + header.p_vaddr);
          range.first = std::min(range.first, first);
          range.last = std::max(range.last, first + static_cast<std::uintptr_t>(header.p_memsz));
        }
        if (range.first < range.last)
          static_cast<std::vector<ModuleMap::Range>*>(data)->push_back(range);
        return 0;
      },
      &ranges);
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return ranges;
}

}  // namespace

ModuleMap::Range ModuleMap::find(const void* address) const noexcept {
  for (const Range& range : ranges_)
    if (range.contains(address)) return range;
  return {};
}

std::shared_ptr<const ModuleMap> loaded_modules(const ForkLock& /*held*/) {
  Cache& current = cache.get();
  const auto generation = current_generation();
  if (current.map == nullptr || current.generation != generation) {
    current.map = std::make_shared<const ModuleMap>(current_ranges());
    current.generation = generation;
  }
  return current.map;
}

}  // namespace apalis::detail::sys
