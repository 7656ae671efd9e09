// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much more memory can be had before the kernel begins to kill.

#include <apalis/detail/sys/control_group.hpp>
#include <cstdint>
#include <string>

namespace apalis::detail::sys {

/// Where to look; tests have files of their own.
struct MemoryFiles {
  std::string machine = "/proc/meminfo";
  GroupFiles groups;
};

/// Bytes that this machine and this process's control groups (v1, v2) have left, counting what the
/// page cache can give up and free swap space. An upper bound: more than this is certain to fail.
/// What can't be read does not limit. Reads some small files: 50 µs.
[[nodiscard]] std::uint64_t free_memory(const MemoryFiles& files = {});

}  // namespace apalis::detail::sys
