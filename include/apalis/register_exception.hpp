// SPDX-License-Identifier: BSL-1.0
#pragma once

// Lets an exception type of your own arrive as itself.
//
//   struct OutOfMesh : std::runtime_error { using std::runtime_error::runtime_error; };
//
//   apalis::register_exception<OutOfMesh>();        // before the handler is made
//   try { h.call(&Solver::step).get(); } catch (const OutOfMesh& e) { … }

#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/remote_exception.hpp>
#include <concepts>
#include <string>

namespace apalis {

/// Registers E for this process and the workers that it makes from now on. E crosses by its cereal
/// functions if it has some, else by its what(), from which it must be constructible. Exceptions of
/// types that were not registered arrive as Error. Again is no harm.
/// **Threads:** any.
template <class E>
void register_exception() {
  using namespace detail::wire;
  static_assert(!std::is_final_v<E>,
                "apalis: an exception arrives as a type derived from its own, so a final class "
                "can't be registered");
  static_assert(std::copy_constructible<E>,
                "apalis: a thrown exception is copied, so a type without copy constructor can't be "
                "registered");
  constexpr bool by_cereal = sendable<E> && !bytes_copyable<E>;
  static_assert(by_cereal || std::constructible_from<E, std::string>,
                "apalis: an exception type to be registered needs a cereal serialize function, or "
                "a constructor that takes what() as a std::string");
  static ExceptionType type{
      &typeid(E),
      [](Buffer& buffer, const void* exception) {
        if constexpr (by_cereal) encode<E>(buffer, *static_cast<const E*>(exception));
      },
      [](Reader& reader, RemoteError::Origin origin) {
        if constexpr (by_cereal) {
          return std::make_exception_ptr(
              RemoteException<E>(std::move(origin), decode<E>(reader)));
        } else {
          const std::string message = origin.message;
          return std::make_exception_ptr(RemoteException<E>(std::move(origin), message));
        }
      },
      &match_exception<E>};
  static const bool registered = (register_exception_type(type), true);
  (void)registered;
}

}  // namespace apalis
