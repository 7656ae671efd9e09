// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sends a closure together with what it captured.
//
//   h.call(apalis::by_value([k](Counter& c, int x) { return c.add(k * x); }), 4);

#include <type_traits>
#include <utility>

namespace apalis {

/// What by_value() returns: a callable whose bytes cross.
template <class F>
struct by_value_t {
  F callable;
};

/// Your word that nothing which f captured points into this process: f crosses as its bytes, and
/// pointers, references and views would mean something else, or nothing, over there.
template <class F>
[[nodiscard]] constexpr by_value_t<std::decay_t<F>> by_value(F&& f) {
  static_assert(std::is_trivially_copyable_v<std::decay_t<F>>,
                "apalis: by_value() sends a callable as its bytes, so each capture must be "
                "trivially copyable; pass the others (strings, vectors) as arguments of the call, "
                "or write a function object with a cereal serialize function");
  return {std::forward<F>(f)};
}

}  // namespace apalis
