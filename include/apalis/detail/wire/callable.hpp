// SPDX-License-Identifier: BSL-1.0
#pragma once

// How the callable itself crosses: member pointers, function pointers, closures, function objects.

#include <apalis/by_value.hpp>
#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

namespace apalis::detail::wire {

template <class F>
inline constexpr bool is_by_value = false;
template <class F>
inline constexpr bool is_by_value<by_value_t<F>> = true;

template <class F>
inline constexpr bool is_std_function = false;
template <class S>
inline constexpr bool is_std_function<std::function<S>> = true;

template <class F>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

/// Nothing to send: any object of the type does.
template <class F>
inline constexpr bool is_stateless =
    std::is_class_v<F> && std::is_empty_v<F> && std::is_trivially_copyable_v<F>;

/// A member function pointer of the Itanium C++ ABI, which every compiler on Linux follows: what it
/// points to, and what to add to `this`. The addition is nearly always zero and then not sent.
struct MemberPointer {
  std::uintptr_t target;
  std::ptrdiff_t adjustment;  // twice that on ARM, where its lowest bit says "virtual"

  template <class F>
  static MemberPointer of(F f) noexcept {
    static_assert(sizeof(F) == sizeof(MemberPointer));
    return std::bit_cast<MemberPointer>(f);
  }
  [[nodiscard]] bool is_virtual() const noexcept {
#if defined(__arm__) || defined(__aarch64__)
    return (adjustment & 1) != 0;
#else
    return (target & 1) != 0;
#endif
  }
};


template <class F>
struct CallableForm {
  static constexpr bool member = std::is_member_function_pointer_v<F>;
  /// Whether this one is sent in the short form.
  static bool is_plain(const F& f) noexcept {
    if constexpr (member) {
      return MemberPointer::of(f).adjustment == 0;
    } else {
      return true;
    }
  }
  template <bool plain>
  static void encode(Buffer& buffer, const F& f) {
    if constexpr (member) {
      buffer.append(&f, plain ? sizeof(std::uintptr_t) : sizeof(F));
    } else if constexpr (is_function_pointer<F> || is_by_value<F>) {
      if constexpr (!is_stateless<F>) buffer.append(&f, sizeof(F));
    } else if constexpr (!is_stateless<F> || has_cereal_functions<F>) {
      wire::encode(buffer, f);
    }
  }
  template <bool plain>
  static F decode(Reader& reader) {
    if constexpr (member) {
      MemberPointer pointer{0, 0};
      reader.read(&pointer, plain ? sizeof(std::uintptr_t) : sizeof(F));
      return std::bit_cast<F>(pointer);
    } else if constexpr (is_stateless<F> && !has_cereal_functions<F>) {
      return std::bit_cast<F>(std::array<std::byte, sizeof(F)>{});
    } else if constexpr (is_function_pointer<F> || is_by_value<F>) {
      std::array<std::byte, sizeof(F)> bytes;
      reader.read(bytes.data(), sizeof(F));
      return std::bit_cast<F>(bytes);
    } else {
      return wire::decode<F>(reader);
    }
  }
};

/// May a callable of type F cross?
template <bool aloud, class F>
consteval bool can_send_callable() {
  if constexpr (std::is_member_object_pointer_v<F>) {
    return refuse<aloud, DataMemberPointer<F>>();
  } else if constexpr (std::is_member_function_pointer_v<F> || is_function_pointer<F> ||
                       is_by_value<F>) {
    return true;
  } else if constexpr (is_std_function<F>) {
    return refuse<aloud, StdFunction<F>>();
  } else if constexpr (!std::is_class_v<F>) {
    return refuse<aloud, NotCallable<F>>();
  } else if constexpr (is_stateless<F> || has_cereal_functions<F>) {
    return true;
  } else {
    return refuse<aloud, ClosureWithCaptures<F>>();
  }
}

/// Where the code lies that a run-time pointer leads to, to be checked against the worker's
/// modules. Null for what carries no such pointer.
template <class A, class F>
const void* code_address(const F& f) noexcept {
  if constexpr (std::is_member_function_pointer_v<F>) {
    const auto pointer = MemberPointer::of(f);
    return pointer.is_virtual() ? nullptr : reinterpret_cast<const void*>(pointer.target);
  } else if constexpr (std::is_function_v<F>) {
    return reinterpret_cast<const void*>(&f);
  } else if constexpr (is_function_pointer<F>) {
    return reinterpret_cast<const void*>(f);
  } else {
    return nullptr;
  }
}

}  // namespace apalis::detail::wire
