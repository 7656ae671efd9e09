// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/sys/fd.hpp>

namespace apalis::detail::sys {

void Fd::reset() noexcept {
  // close() releases the descriptor even when it reports EINTR on Linux: never try again.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace apalis::detail::sys
