// SPDX-License-Identifier: BSL-1.0
#pragma once

// What it takes to send exceptions of one type and to throw them again: one constant a type.
//
//   static ExceptionNode node{make_exception_kind<MyError, RegisteredCodec<MyError>>()};
//   add_exception_kind(node);   // from then on MyError arrives as MyError

#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>

namespace apalis::detail::wire {

template <class E>
class Remote;

/// What is rethrown for an E: also a RemoteError, and with the original's words.
template <class E>
  requires std::is_base_of_v<std::exception, E>
class Remote<E> : public E, public RemoteError {
 public:
  Remote(E original, Origin origin) : E(std::move(original)), RemoteError(std::move(origin)) {}
  // E may compose its what() from what it was given, which is the composed one already.
  [[nodiscard]] const char* what() const noexcept override {
    return RemoteError::message().c_str();
  }
};
template <class E>
  requires(!std::is_base_of_v<std::exception, E>)
class Remote<E> : public E, public RemoteError {
 public:
  Remote(E original, Origin origin) : E(std::move(original)), RemoteError(std::move(origin)) {}
};

/// The same for an E with an exception nested in it: made while that one is being handled, it takes
/// it along, so that std::rethrow_if_nested finds it.
template <class E>
class RemoteNested : public Remote<E>, public std::nested_exception {
 public:
  using Remote<E>::Remote;
};

struct ExceptionKind {
  /// The original type, and the two that stand for it when it was rethrown and is sent on.
  const std::type_info* types[3];
  /// Appends the exception being handled; false if it can't be sent as this type. Null where the
  /// message is all there is to send.
  bool (*encode)(Buffer& buffer);
  std::exception_ptr (*decode)(Reader& payload, RemoteError::Origin origin,
                               const std::exception_ptr& nested);
};

/// Codec: `static E decode(Reader&, const std::string& what)`, and `static bool encode(Buffer&,
/// const E&)` unless what() is enough.
template <class E, class Codec>
struct ExceptionFunctions {
  static bool encode(Buffer& buffer) {
    try {
      throw;
    } catch (const E& exception) {
      return Codec::encode(buffer, exception);
    }
  }
  static std::exception_ptr decode(Reader& payload, RemoteError::Origin origin,
                                   const std::exception_ptr& nested) {
    if (nested == nullptr) {
      E original = Codec::decode(payload, std::as_const(origin.message));
      return std::make_exception_ptr(Remote<E>(std::move(original), std::move(origin)));
    }
    try {
      std::rethrow_exception(nested);
    } catch (...) {
      E original = Codec::decode(payload, std::as_const(origin.message));
      if constexpr (std::is_base_of_v<std::nested_exception, E>) {
        return std::make_exception_ptr(Remote<E>(std::move(original), std::move(origin)));
      } else {
        return std::make_exception_ptr(RemoteNested<E>(std::move(original), std::move(origin)));
      }
    }
  }
};

template <class E, bool nests = !std::is_base_of_v<std::nested_exception, E>>
struct NestedType {
  static const std::type_info& id() { return typeid(RemoteNested<E>); }
};
template <class E>
struct NestedType<E, false> {
  static const std::type_info& id() { return typeid(Remote<E>); }
};

template <class E, class Codec>
ExceptionKind make_exception_kind() {
  ExceptionKind kind{{&typeid(E), &typeid(Remote<E>), &NestedType<E>::id()},
                     nullptr,
                     &ExceptionFunctions<E, Codec>::decode};
  if constexpr (requires(Buffer& buffer, const E& e) { Codec::encode(buffer, e); })
    kind.encode = &ExceptionFunctions<E, Codec>::encode;
  return kind;
}

/// Sends what was registered by its serialisation, or else by its what().
template <class E>
struct RegisteredCodec {
  static bool encode(Buffer& buffer, const E& exception)
    requires sendable_value<E>
  {
    wire::encode<E>(buffer, exception);
    return true;
  }
  static E decode([[maybe_unused]] Reader& payload, [[maybe_unused]] const std::string& what) {
    if constexpr (sendable_value<E>) {
      return wire::decode<E>(payload);
    } else {
      return E(what);
    }
  }
};

/// A registered kind, in a list that only ever grows.
struct ExceptionNode {
  ExceptionKind kind;
  std::uint64_t id = 0;                 // in order of registration
  const ExceptionNode* next = nullptr;  // the one registered before
};

/// Adds a node that lives for ever; from any thread, without locks (a child may be forked
/// meanwhile).
void add_exception_kind(ExceptionNode& node) noexcept;

}  // namespace apalis::detail::wire
