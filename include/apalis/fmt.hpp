// SPDX-License-Identifier: BSL-1.0
#pragma once

// apalis' reports as arguments of fmt's functions. For programs that use fmt: not in apalis.hpp.
//
//   fmt::print("{}", engine.report());

#include <fmt/format.h>

#include <apalis/map_report.hpp>
#include <string_view>

/// As to_string() has it.
template <>
struct fmt::formatter<apalis::MapReport> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const apalis::MapReport& report, Context& context) const {
    return fmt::formatter<std::string_view>::format(to_string(report), context);
  }
};
