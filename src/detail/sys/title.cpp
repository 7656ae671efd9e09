// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/title.hpp>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

extern char** environ;  // NOLINT: the C library's own name

namespace apalis::detail::sys {
namespace {

/// Where the kernel reads the command line from: the bytes of argv, followed by those of environ.
struct Area {
  char* first = nullptr;
  std::size_t arguments = 0;
  std::size_t total = 0;
};

Area find_area() noexcept {
  char text[1024];
  const Fd file{::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)};
  const ssize_t length = file ? ::read(file.get(), text, sizeof text - 1) : 0;
  if (length <= 0) return {};
  text[length] = '\0';
  // The second field, the name, may hold anything; fields after its last ')' are numbers from 3.
  const char* at = std::strrchr(text, ')');
  std::uintptr_t values[4] = {};  // fields 48 to 51: arg_start, arg_end, env_start, env_end
  for (int field = 3; at != nullptr && field <= 51; ++field) {
    at = std::strchr(at, ' ');
    if (at == nullptr) return {};
    ++at;
    if (field >= 48) values[field - 48] = std::strtoull(at, nullptr, 10);
  }
  const auto [arg_start, arg_end, env_start, env_end] = values;
  if (arg_start == 0 || arg_end <= arg_start) return {};
  Area area{reinterpret_cast<char*>(arg_start), arg_end - arg_start, arg_end - arg_start};
  if (env_start == arg_end && env_end > env_start) area.total = env_end - arg_start;
  return area;
}

const Area& area() noexcept {
  static const Area found = find_area();
  return found;
}

/// Moves environment strings that lie below `end` elsewhere, before their bytes are overwritten.
/// Loops in place of strlen and memcpy, which would cost a fresh child a page fault each.
bool move_environment(const char* first, const char* end) noexcept {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (*entry < first || *entry >= end) continue;
    std::size_t size = 1;
    while ((*entry)[size - 1] != '\0') ++size;
    auto* copy = static_cast<char*>(std::malloc(size));
    if (copy == nullptr) return false;
    for (std::size_t i = 0; i < size; ++i) copy[i] = (*entry)[i];
    *entry = copy;
  }
  return true;
}

}  // namespace

void prepare_title() noexcept { (void)area(); }

void set_title(std::string_view title) noexcept {
  char name[16] = {};
  std::memcpy(name, title.data(), std::min(title.size(), sizeof name - 1));
  ::prctl(PR_SET_NAME, name);

  const Area& space = area();
  if (space.arguments < 2) return;
  std::size_t room = space.arguments;
  if (title.size() >= room && space.total > room) {
    room = std::min(space.total, title.size() + 1);
    if (!move_environment(space.first, space.first + room)) room = space.arguments;
  }
  const auto length = std::min(title.size(), room - 1);
  std::memcpy(space.first, title.data(), length);
  std::memset(space.first + length, 0, room - length);
  // The kernel reads on into the environment only when the last byte of argv is not zero.
  if (room > space.arguments && length < space.arguments) space.first[space.arguments - 1] = '\0';
}

}  // namespace apalis::detail::sys
