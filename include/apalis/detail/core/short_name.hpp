// SPDX-License-Identifier: BSL-1.0
#pragma once

// A type's own name, without the scopes around it: what fits a process list.

#include <apalis/detail/core/type_name.hpp>
#include <cstddef>
#include <string_view>

namespace apalis::detail {

/// "Counter" for ns::Counter, "Box<ns::Item>" for ns::Box<ns::Item>.
template <class T>
constexpr std::string_view short_type_name() {
  constexpr std::string_view name = type_name<T>();
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i + 1 < name.size(); ++i) {
    const char c = name[i];
    if (c == '<') break;  // what follows are arguments
    if (c == '(' || c == '{') ++depth;
    if (c == ')' || c == '}') --depth;
    if (depth == 0 && c == ':' && name[i + 1] == ':') start = i + 2;
  }
  return name.substr(start);
}

static_assert(short_type_name<double>() == "double");

}  // namespace apalis::detail
