// SPDX-License-Identifier: BSL-1.0
#pragma once

// Lets exceptions of your own arrive as their own type.
//
//   struct ParseError : std::runtime_error { using std::runtime_error::runtime_error; };
//   apalis::register_exception<ParseError>();     // before the handler is made
//   …
//   catch (const ParseError& e) { … }             // thrown in the worker, caught here

#include <concepts>
#include <exception>
#include <string>
#include <type_traits>

#include <apalis/detail/wire/exception_kind.hpp>

namespace apalis {

/// From now on, and in workers made from now on, an E arrives as an E (and as a RemoteError).
/// **Threads** any. Registering twice does nothing.
template <class E>
void register_exception() {
  constexpr bool is_open_class = std::is_class_v<E> && !std::is_final_v<E>;
  constexpr bool can_be_copied = std::copy_constructible<E>;
  constexpr bool can_be_sent =
      detail::wire::sendable_value<E> ||
      (std::is_base_of_v<std::exception, E> && std::is_constructible_v<E, const std::string&>);
  static_assert(is_open_class,
                "apalis: register_exception<E>() needs a class that is not final, because what is "
                "rethrown is derived from it and from apalis::RemoteError");
  static_assert(can_be_copied,
                "apalis: register_exception<E>() needs an E that can be copied, because C++ copies "
                "exceptions when they are rethrown");
  static_assert(!is_open_class || !can_be_copied || can_be_sent,
                "apalis: register_exception<E>() needs a way to send an E: give it a cereal "
                "serialize function and a default constructor, or derive it from std::exception "
                "with a constructor from std::string, which is given the original's what()");
  if constexpr (is_open_class && can_be_copied && can_be_sent) {
    static detail::wire::ExceptionNode node{
        detail::wire::make_exception_kind<E, detail::wire::RegisteredCodec<E>>()};
    [[maybe_unused]] static const bool added = (detail::wire::add_exception_kind(node), true);
  }
}

}  // namespace apalis
