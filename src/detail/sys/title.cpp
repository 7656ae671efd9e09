// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/title.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace apalis::detail::sys {
namespace {

/// The memory map's description as /proc/self/stat has it; all zero where it can't be read.
prctl_mm_map read_map() noexcept {
  prctl_mm_map map{};
  char text[1024];
  const Fd file{::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)};
  const ssize_t length = file ? ::read(file.get(), text, sizeof text - 1) : 0;
  if (length <= 0) return map;
  text[length] = '\0';
  // The second field, the name, may hold anything; fields after its last ')' are numbers from 3.
  std::uint64_t fields[52] = {};
  const char* at = std::strrchr(text, ')');
  for (int field = 3; at != nullptr && field < 52; ++field) {
    at = std::strchr(at + 1, ' ');
    if (at != nullptr) fields[field] = std::strtoull(at + 1, nullptr, 10);
  }
  if (at == nullptr) return map;
  map.start_code = fields[26];
  map.end_code = fields[27];
  map.start_stack = fields[28];
  map.start_data = fields[45];
  map.end_data = fields[46];
  map.start_brk = fields[47];
  map.env_start = fields[50];
  map.env_end = fields[51];
  map.exe_fd = ~0U;  // stays as it is, and so does the empty auxv
  return map;
}

const prctl_mm_map& inherited_map() noexcept {
  static const prctl_mm_map map = read_map();
  return map;
}

}  // namespace

void prepare_title() noexcept { (void)inherited_map(); }

void set_title(const std::string& title) noexcept {
  if (injected_fault(Call::title) != 0) return;
  char name[16] = {};
  std::copy_n(title.data(), std::min(title.size(), sizeof name - 1), name);
  ::prctl(PR_SET_NAME, name);

  // Points the kernel at the text itself. Writing over argv, as setproctitle() does, would destroy
  // what the program may still refer to; a copy would be the child's first use of malloc, at the price
  // of five page faults. Kernels without checkpoint/restore refuse: then the name above is all there
  // is. It must be anonymous memory, for only such the kernel reads out to others.
  prctl_mm_map map = inherited_map();
  map.brk = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  map.arg_start = reinterpret_cast<std::uintptr_t>(title.c_str());
  map.arg_end = map.arg_start + title.size() + 1;
  ::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

}  // namespace apalis::detail::sys
