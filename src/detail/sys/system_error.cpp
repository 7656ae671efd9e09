// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/sys/system_error.hpp>
#include <system_error>

namespace apalis::detail::sys {

void throw_errno(int code, std::string_view what, std::string_view advice) {
  const auto text = std::system_category().message(code);
  throw SystemError(advice.empty() ? fmt::format("apalis: {}: {}", what, text)
                                   : fmt::format("apalis: {}: {} ({})", what, text, advice),
                    code);
}

}  // namespace apalis::detail::sys
