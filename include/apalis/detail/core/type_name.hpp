// SPDX-License-Identifier: BSL-1.0
#pragma once

// The name of a type, or of a function given at compile time, as the source spells it.
//
//   static_assert(type_name<ns::Counter>() == "ns::Counter");
//   static_assert(value_name<&Counter::add>() == "Counter::add");

#include <array>
#include <cstddef>
#include <string_view>

namespace apalis::detail {

template <class T>
constexpr std::string_view signature_of_type() {
  return __PRETTY_FUNCTION__;
}

template <auto value>
constexpr std::string_view signature_of_value() {
  return __PRETTY_FUNCTION__;
}

// Both compilers print `… [with T = X; std::string_view = …]` or `… [T = X]`: what stands around a
// known X stands around every X.
template <class T>
constexpr std::string_view type_name() {
  constexpr std::string_view known = signature_of_type<double>();
  constexpr std::size_t before = known.find("double");
  constexpr std::size_t after = known.size() - before - std::string_view("double").size();
  constexpr std::string_view whole = signature_of_type<T>();
  return whole.substr(before, whole.size() - before - after);
}

template <auto value>
constexpr std::string_view value_name() {
  constexpr std::string_view known = signature_of_value<12345>();
  constexpr std::size_t before = known.find("12345");
  constexpr std::size_t after = known.size() - before - std::string_view("12345").size();
  constexpr std::string_view whole = signature_of_value<value>();
  std::string_view name = whole.substr(before, whole.size() - before - after);
  // g++ writes the type of an overloaded or inherited member as a cast before it.
  if (name.starts_with('(')) {
    int depth = 0;
    for (std::size_t i = 0; i < name.size(); ++i) {
      depth += name[i] == '(' ? 1 : name[i] == ')' ? -1 : 0;
      if (depth == 0) {
        if (i + 1 < name.size()) name.remove_prefix(i + 1);
        break;
      }
    }
  }
  if (name.starts_with('&')) name.remove_prefix(1);
  return name;
}

/// Text put together at compile time; static, so that a string_view into it outlives everything.
template <const std::string_view&... parts>
struct Joined {
  static constexpr auto characters = [] {
    std::array<char, (parts.size() + ... + 0)> joined{};
    std::size_t at = 0;
    for (std::string_view part : {parts...})
      for (char c : part) joined[at++] = c;
    return joined;
  }();
  static constexpr std::string_view text{characters.data(), characters.size()};
};

}  // namespace apalis::detail
