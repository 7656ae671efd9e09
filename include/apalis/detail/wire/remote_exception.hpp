// SPDX-License-Identifier: BSL-1.0
#pragma once

// An exception type of a worker as it is thrown here: its own type and RemoteError at once.

#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <exception>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace apalis::detail::wire {

/// Made from whatever makes an E. what() is what the original said.
template <class E>
class RemoteException final : public E, public RemoteError {
 public:
  template <class... Args>
  explicit RemoteException(Origin origin, Args&&... args)
      : E(std::forward<Args>(args)...), RemoteError(std::move(origin)) {}

  const char* what() const noexcept override { return message().c_str(); }
};

/// For types that are no std::exception and thus have no what().
template <class E>
requires(!std::is_base_of_v<std::exception, E>) class RemoteException<E> final
    : public E,
      public RemoteError {
 public:
  template <class... Args>
  explicit RemoteException(Origin origin, Args&&... args)
      : E(std::forward<Args>(args)...), RemoteError(std::move(origin)) {}
};

/// How one exception type crosses. One static object a type.
struct ExceptionType {
  const std::type_info* type;
  /// Appends what it takes to make the exception anew, beyond its message. `exception` is of
  /// `type`.
  void (*encode)(Buffer& buffer, const void* exception);
  /// Makes it anew. Throws Malformed.
  std::exception_ptr (*make)(Reader& reader, RemoteError::Origin origin);
  /// The exception in flight as `type`, else null.
  const void* (*match)(const std::exception_ptr& error);
  const ExceptionType* next = nullptr;  // in the registry
};

/// Adds a static object to the registry of this process and of those forked later. **Threads:**
/// any.
void register_exception_type(ExceptionType& type);

template <class E>
const void* match_exception(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const E& e) {
    return &e;  // lives as long as `error` does
  } catch (...) {
    return nullptr;
  }
}

}  // namespace apalis::detail::wire
