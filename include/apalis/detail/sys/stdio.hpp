// SPDX-License-Identifier: BSL-1.0
#pragma once

// Buffered output across fork: what the parent had not written yet stays the parent's.

namespace apalis::detail::sys {

/// In a child just forked: drops what inherited stdio streams and std::cout, cerr, clog hold
/// unwritten; the parent will write it.
void drop_inherited_output() noexcept;

/// Before a child ends without exit(): writes what it has buffered itself.
void flush_output() noexcept;

}  // namespace apalis::detail::sys
