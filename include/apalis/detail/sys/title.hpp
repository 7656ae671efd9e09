// SPDX-License-Identifier: BSL-1.0
#pragma once

// What ps and top show for a process.

#include <string>

namespace apalis::detail::sys {

/// Reads where the command line lies; called in the parent, once, so that children need not.
void prepare_title() noexcept;

/// Names this process: comm (15 bytes) and the command line. The text itself is what the kernel
/// reads, for as long as the process lives.
void set_title(const std::string& title) noexcept;

}  // namespace apalis::detail::sys
