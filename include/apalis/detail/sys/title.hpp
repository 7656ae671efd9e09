// SPDX-License-Identifier: BSL-1.0
#pragma once

// What ps and top show for a process.

#include <string_view>

namespace apalis::detail::sys {

/// Reads where the command line lies; called in the parent, once, so that children need not.
void prepare_title() noexcept;

/// Names this process: comm (15 bytes) and the command line, as far as its space reaches.
void set_title(std::string_view title) noexcept;

}  // namespace apalis::detail::sys
