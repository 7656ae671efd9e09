// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/core/bad_index.hpp>
#include <apalis/error.hpp>

namespace apalis::detail {

void throw_bad_index(std::size_t index, std::size_t size) {
  throw Error(fmt::format("apalis: index {} of {} elements", index, size));
}

}  // namespace apalis::detail
