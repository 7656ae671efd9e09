// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sends a value to a worker and back, by value and by const reference.

#include <type_traits>
#include <utility>

#include "backends.hpp"

namespace conformance {

struct Echo {
  int visits = 0;
};

/// `value` after a trip to the worker and back; moves it there and back.
template <class T>
[[nodiscard]] T echo(apalis::Handler<Echo>& h, T value) {
  return h.call([](Echo&, T inside) -> T { return inside; }, std::move(value)).get();
}

/// The same, through a method that takes a const reference.
template <class T>
[[nodiscard]] T echo_ref(apalis::Handler<Echo>& h, const T& value) {
  return h.call([](Echo&, const T& inside) -> T { return inside; }, value).get();
}

/// Whether `value` survives both trips.
template <class T>
[[nodiscard]] bool survives(apalis::Handler<Echo>& h, const T& value) {
  return echo<T>(h, value) == value && echo_ref<T>(h, value) == value;
}

}  // namespace conformance
