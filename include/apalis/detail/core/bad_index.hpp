// SPDX-License-Identifier: BSL-1.0
#pragma once

// What at() throws.

#include <cstddef>

namespace apalis::detail {

[[noreturn]] void throw_bad_index(std::size_t index, std::size_t size);

}  // namespace apalis::detail
