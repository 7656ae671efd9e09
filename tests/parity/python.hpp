// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of parity share: the notebook's class, and lists as Python prints them.

#include <cstdint>
#include <string>
#include <vector>

namespace parity {

/// The class of the timings notebook.
struct A {
  std::int64_t function(std::int64_t n) {
    std::int64_t cum = 0;
    for (std::int64_t i = 0; i < n; ++i) cum += i;
    return cum;
  }
};

/// print(list)
template <class T>
[[nodiscard]] std::string printed(const std::vector<T>& list) {
  std::string text = "[";
  for (const T& element : list) text += (text.size() > 1 ? ", " : "") + std::to_string(element);
  return text + "]";
}

}  // namespace parity
