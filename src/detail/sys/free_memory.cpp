// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/sys/free_memory.hpp>
#include <fstream>
#include <limits>
#include <optional>

namespace apalis::detail::sys {
namespace {

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number behind `name`, as in "MemAvailable:  123 kB" and "inactive_file 123".
std::optional<std::uint64_t> entry(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  for (std::uint64_t value = 0; file >> word;)
    if (word == name && file >> value) return value;
  return std::nullopt;
}

/// "max" is no number, thus no limit.
std::optional<std::uint64_t> number(const std::string& path) {
  std::ifstream file(path);
  if (std::uint64_t value = 0; file >> value) return value;
  return std::nullopt;
}

std::uint64_t left_in(const GroupFolder& group) {
  const auto file = [&](const char* unified, const char* legacy) {
    return group.path + (group.unified ? unified : legacy);
  };
  const auto limit = number(file("/memory.max", "/memory.limit_in_bytes"));
  const auto used = number(file("/memory.current", "/memory.usage_in_bytes"));
  if (!limit || !used) return unlimited;
  const auto statistics = group.path + "/memory.stat";
  const std::string prefix = group.unified ? "" : "total_";
  const auto cache = entry(statistics, prefix + "active_file").value_or(0) +
                     entry(statistics, prefix + "inactive_file").value_or(0);
  return *limit - std::min(*limit, *used - std::min(*used, cache));
}

}  // namespace

std::uint64_t free_memory(const MemoryFiles& files) {
  constexpr std::uint64_t kilo = 1024;
  const auto available = entry(files.machine, "MemAvailable:");
  auto left = available ? *available * kilo : unlimited;
  for (const auto& group : control_groups("memory", files.groups))
    left = std::min(left, left_in(group));
  const auto swap = entry(files.machine, "SwapFree:").value_or(0) * kilo;
  return left + std::min(swap, unlimited - left);
}

}  // namespace apalis::detail::sys
