// SPDX-License-Identifier: BSL-1.0
#pragma once

// The few system calls of the references, checked. The references stay raw on purpose: nothing of
// the library may be in what the library is compared with.

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

namespace apalis::bench {

/// `result` of a system call, or its errno as an exception.
template <class T>
T checked(T result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

/// Tells the core that this is a waiting loop.
inline void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Pipe {
  int read_end;
  int write_end;
};
Pipe make_pipe();

/// Zeroed memory that forked children share, of whole pages; unmap with munmap.
void* shared_memory(std::size_t bytes);

/// In a forked child: it is not to outlive the suite.
void die_with_parent();

/// Kills and reaps.
void end_child(pid_t child);

std::string read_file(const std::string& path);

}  // namespace apalis::bench
