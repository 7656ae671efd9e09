// SPDX-License-Identifier: BSL-1.0
#include <signal.h>

#include <apalis/detail/process/child.hpp>

namespace apalis::detail::process {

void Child::kill() noexcept {
  signal(SIGKILL);
  while (!wait(std::chrono::milliseconds{-1})) {
  }
}

}  // namespace apalis::detail::process
