// SPDX-License-Identifier: BSL-1.0
#pragma once

// One argument for each object of a group, in place of the same for all.
//
//   std::vector<double> results = g.map(&Model::step, apalis::each(steps));

#include <iterator>
#include <type_traits>
#include <utility>

namespace apalis {

/// What each() makes: refers to an lvalue range, owns an rvalue one.
template <class Range>
struct each_t {
  Range range;
};

/// `range` has as many elements as the group has objects.
template <class Range>
  requires requires(Range& r) {
    std::begin(r);
    std::end(r);
  }
[[nodiscard]] each_t<Range> each(Range&& range) {
  return {std::forward<Range>(range)};
}

/// Tells run() to give every outcome and to throw none.
struct collect_t {
  explicit collect_t() = default;
};
inline constexpr collect_t collect{};

}  // namespace apalis
