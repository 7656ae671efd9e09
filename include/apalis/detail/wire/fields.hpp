// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which types an aggregate's fields have, C arrays and bit-fields included.
//
//   struct Point { double x[2]; int tag; };
//   static_assert(std::is_same_v<Fields<Point>, TypeList<double[2], int>>);
//
// Boost.PFR counts initialisers, and so takes each element of a C array for a field of its own.
// Here a field is one `{}`: `Point{{}, {}}` is well-formed and `Point{{}, {}, {}}` is not. Nothing
// but a list written out can say that, hence the table, which ends at 40 fields.

#include <cstddef>
#include <type_traits>
#include <utility>

#include <apalis/detail/core/signature.hpp>

namespace apalis::detail::wire {

/// Stands for the fields of what can't be looked into: a base class, over 40 fields, no way to
/// initialise one.
struct Opaque {};

/// Initialises a field that has no default constructor.
struct AnyField {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor): converting is its purpose
};

/// Initialises a base class of T and nothing else.
template <class T>
struct AnyBase {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::is_same_v<std::remove_cv_t<U>, T>)
  operator U() const;  // NOLINT(google-explicit-constructor): converting is its purpose
};

template <class T>
concept aggregate_with_base = requires {
  T{AnyBase<T>{}};
};

template <class T, std::size_t... i>
constexpr bool takes_any(std::index_sequence<i...>) {
  return requires {
    T{(static_cast<void>(i), AnyField{})...};
  };
}

/// The field count of an aggregate that `{}` can't initialise; 0 if it is not found.
template <class T, std::size_t n = 40>
constexpr std::size_t count_by_conversion() {
  if constexpr (n == 0) {
    return 0;
  } else if constexpr (takes_any<T>(std::make_index_sequence<n>{})) {
    return n;
  } else {
    return count_by_conversion<T, n - 1>();
  }
}

/// The field count of an aggregate that `{}` initialises; 41 if it has more than 40.
template <class T>
constexpr std::size_t count_by_braces() {
  // clang-format off
  if constexpr (!requires { T{{}}; }) return 0; else
  if constexpr (!requires { T{{}, {}}; }) return 1; else
  if constexpr (!requires { T{{}, {}, {}}; }) return 2; else
  if constexpr (!requires { T{{}, {}, {}, {}}; }) return 3; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}}; }) return 4; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}}; }) return 5; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}}; }) return 6; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}}; }) return 7; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 8; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 9; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 10; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 11; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 12;
      else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return
      13; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
      return 14; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
      return 15; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
      }) return 16; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}}; }) return 17; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}}; }) return 18; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}}; }) return 19; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}}; }) return 20; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}}; }) return 21; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}}; }) return 22; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}}; }) return 23; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}}; }) return 24; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 25; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 26; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 27; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 28; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 29; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 30; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 31; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 32; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 33; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 34; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 35;
      else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return
      36; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
      return 37; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
      return 38; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
      }) return 39; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
      {}}; }) return 40; else
  return 41;
  // clang-format on
}

template <class T>
constexpr std::size_t count_fields() {
  if constexpr (!std::is_aggregate_v<T> || std::is_union_v<T>) {
    return 41;
  } else if constexpr (requires { T{}; }) {
    return count_by_braces<T>();
  } else {
    constexpr std::size_t count = count_by_conversion<T>();
    return count == 0 ? 41 : count;
  }
}

// Never defined for a call: its return type is all that is asked for.
template <std::size_t n, class T>
auto bind_fields(T& object) {
  if constexpr (n == 1) {
    auto& [f0] = object;
    return TypeList<decltype(f0)>{};
  } else if constexpr (n == 2) {
    auto& [f0, f1] = object;
    return TypeList<decltype(f0), decltype(f1)>{};
  } else if constexpr (n == 3) {
    auto& [f0, f1, f2] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2)>{};
  } else if constexpr (n == 4) {
    auto& [f0, f1, f2, f3] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3)>{};
  } else if constexpr (n == 5) {
    auto& [f0, f1, f2, f3, f4] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4)>{};
  } else if constexpr (n == 6) {
    auto& [f0, f1, f2, f3, f4, f5] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5)>{};
  } else if constexpr (n == 7) {
    auto& [f0, f1, f2, f3, f4, f5, f6] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6)>{};
  } else if constexpr (n == 8) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7)>{};
  } else if constexpr (n == 9) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8)>{};
  } else if constexpr (n == 10) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9)>{};
  } else if constexpr (n == 11) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10)>{};
  } else if constexpr (n == 12) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11)>{};
  } else if constexpr (n == 13) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12)>{};
  } else if constexpr (n == 14) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13)>{};
  } else if constexpr (n == 15) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14)>{};
  } else if constexpr (n == 16) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15)>{};
  } else if constexpr (n == 17) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16)>{};
  } else if constexpr (n == 18) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17)>{};
  } else if constexpr (n == 19) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] =
        object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18)>{};
  } else if constexpr (n == 20) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
           f19] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19)>{};
  } else if constexpr (n == 21) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20)>{};
  } else if constexpr (n == 22) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21)>{};
  } else if constexpr (n == 23) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22)>{};
  } else if constexpr (n == 24) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23)>{};
  } else if constexpr (n == 25) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24)>{};
  } else if constexpr (n == 26) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25)>{};
  } else if constexpr (n == 27) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26)>{};
  } else if constexpr (n == 28) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27)>{};
  } else if constexpr (n == 29) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28)>{};
  } else if constexpr (n == 30) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29)>{};
  } else if constexpr (n == 31) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30)>{};
  } else if constexpr (n == 32) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31)>{};
  } else if constexpr (n == 33) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32)>{};
  } else if constexpr (n == 34) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33)>{};
  } else if constexpr (n == 35) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34)>{};
  } else if constexpr (n == 36) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35] = object;
    return TypeList<
        decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
        decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
        decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16), decltype(f17),
        decltype(f18), decltype(f19), decltype(f20), decltype(f21), decltype(f22), decltype(f23),
        decltype(f24), decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
        decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34), decltype(f35)>{};
  } else if constexpr (n == 37) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36] =
        object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34),
                    decltype(f35), decltype(f36)>{};
  } else if constexpr (n == 38) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36,
           f37] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34),
                    decltype(f35), decltype(f36), decltype(f37)>{};
  } else if constexpr (n == 39) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36, f37,
           f38] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34),
                    decltype(f35), decltype(f36), decltype(f37), decltype(f38)>{};
  } else if constexpr (n == 40) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33, f34, f35, f36, f37,
           f38, f39] = object;
    return TypeList<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                    decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                    decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                    decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                    decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                    decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29),
                    decltype(f30), decltype(f31), decltype(f32), decltype(f33), decltype(f34),
                    decltype(f35), decltype(f36), decltype(f37), decltype(f38), decltype(f39)>{};
  } else {
    return TypeList<Opaque>{};
  }
  // clang-format on
}

/// Initialises a union.
struct AnyUnion {
  template <class U>
    requires std::is_union_v<U>
  operator U() const;  // NOLINT(google-explicit-constructor): converting is its purpose
};

template <class T, std::size_t... i>
constexpr bool takes_union_after(std::index_sequence<i...>) {
  return requires {
    T{(static_cast<void>(i), AnyField{})..., AnyUnion{}};
  };
}

/// Whether T has a union within its first 64 scalars. An anonymous one can't be bound to a name,
/// which no `requires` can find out.
template <class T, std::size_t before = 0>
constexpr bool has_union() {
  if constexpr (before == 64) {
    return false;
  } else if constexpr (takes_union_after<T>(std::make_index_sequence<before>{})) {
    return true;
  } else if constexpr (takes_any<T>(std::make_index_sequence<before + 1>{})) {
    return has_union<T, before + 1>();
  } else {
    return false;
  }
}
template <class T>
concept aggregate_with_union = std::is_aggregate_v<T> && has_union<T>();

template <class T>
struct FieldsOf {
  using type = decltype(bind_fields<count_fields<T>()>(std::declval<T&>()));
};
template <class T>
requires aggregate_with_base<T>
struct FieldsOf<T> {
  using type = TypeList<Opaque>;
};
template <class T>
requires(!std::is_empty_v<T> && !aggregate_with_base<T> && aggregate_with_union<T>)
struct FieldsOf<T> {
  using type = TypeList<Opaque>;
};
template <class T>
requires std::is_empty_v<T>
struct FieldsOf<T> {
  using type = TypeList<>;
};

/// TypeList of the declared types of T's fields; TypeList<Opaque> if T can't be looked into.
template <class T>
using Fields = typename FieldsOf<T>::type;

}  // namespace apalis::detail::wire
