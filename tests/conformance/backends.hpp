// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every conformance test starts from: a backend, and a handler on it.
//
//   const auto backend = each_backend();      // the test runs once per backend
//   CAPTURE(backend);
//   auto h = on<Counter>(backend, 5);         // Counter{5}, constructed by the worker

#include <apalis/apalis.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "support/catch.hpp"

namespace conformance {

/// Generates every backend: the calling test case is entered once for each.
[[nodiscard]] apalis::Backend each_backend();

[[nodiscard]] inline apalis::Options options_for(apalis::Backend backend) {
  apalis::Options options;
  options.backend = backend;
  return options;
}

/// A handler on `backend` whose object is constructed in place from `args`.
template <class A, class... Args>
[[nodiscard]] apalis::Handler<A> on(apalis::Backend backend, Args&&... args) {
  return apalis::Handler<A>{options_for(backend), std::in_place, std::forward<Args>(args)...};
}

/// Whether calls run beside the caller, so that one may be blocked while the test goes on.
[[nodiscard]] inline bool runs_beside(apalis::Backend backend) {
  return backend != apalis::Backend::serial;
}

[[nodiscard]] inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace conformance

template <>
struct Catch::StringMaker<apalis::Backend> {
  static std::string convert(apalis::Backend backend) {
    return std::string(apalis::to_string(backend));
  }
};
