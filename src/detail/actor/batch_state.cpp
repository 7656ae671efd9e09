// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/post_failures.hpp>

namespace apalis::detail::actor {

std::string batch_error_text(std::size_t calls, std::size_t failures, std::size_t first,
                             const std::exception_ptr& error) {
  return fmt::format("apalis: {} of the {} calls of a batch failed; the first, number {}: {}",
                     failures, calls, first, describe(error));
}

}  // namespace apalis::detail::actor
