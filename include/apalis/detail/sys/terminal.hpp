// SPDX-License-Identifier: BSL-1.0
#pragma once

// What stderr leads to, and writing to it.

#include <string_view>

namespace apalis::detail::sys {

/// Whether a line can be redrawn there: a terminal, and one that calls itself more than "dumb".
[[nodiscard]] bool can_redraw(int fd) noexcept;

/// Its width; 80 where that is not told.
[[nodiscard]] int terminal_columns(int fd) noexcept;

/// All of it, or false. Waits where it would block, also on a descriptor that does not.
[[nodiscard]] bool write_all(int fd, std::string_view text) noexcept;

}  // namespace apalis::detail::sys
