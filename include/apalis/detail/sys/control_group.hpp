// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where the kernel keeps the limits that this process's control groups (cgroups v1, v2) set.
//
//   for (const GroupFolder& group : control_groups("memory"))
//     read(group.path + (group.unified ? "/memory.max" : "/memory.limit_in_bytes"));

#include <string>
#include <string_view>
#include <vector>

namespace apalis::detail::sys {

/// Where to look; tests have files of their own.
struct GroupFiles {
  std::string membership = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
};

struct GroupFolder {
  std::string path;
  bool unified;  // cgroup v2; the names of the files differ
};

/// The folders of the group of `controller` that this process is in and of all groups around it.
/// A folder need not be there: a container may show its own group at the root, under the path that
/// the host gives it.
[[nodiscard]] std::vector<GroupFolder> control_groups(std::string_view controller,
                                                      const GroupFiles& files = {});

}  // namespace apalis::detail::sys
