// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much memory the library's shared mapping takes, whoever wrote to it.
//
//   const auto before = shared_bytes();
//   { apalis::SharedArray<char> a(1 << 20); CHECK(shared_bytes() >= before + (1 << 20)); }
//   CHECK(shared_bytes() < before + (1 << 20));

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace apalis::test {

/// Of the memory files of this process's own regions; a worker has closed none of its parent's.
inline std::size_t shared_bytes() {
  std::size_t bytes = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  while (const dirent* const entry = ::readdir(directory)) {
    const auto path = std::string{"/proc/self/fd/"} + static_cast<const char*>(entry->d_name);
    std::array<char, 256> target{};
    if (::readlink(path.c_str(), target.data(), target.size() - 1) < 0) continue;
    if (!std::string_view{target.data()}.starts_with("/memfd:apalis")) continue;
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0)
      bytes += static_cast<std::size_t>(status.st_blocks) * 512;
  }
  ::closedir(directory);
  return bytes;
}

}  // namespace apalis::test
