// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which types cross as their bytes.
//
//   struct Point { double x, y; };
//   static_assert(bytes_copyable<Point> && bytes_copyable<std::array<Point, 3>>);
//   struct Node { Node* next; };
//   static_assert(!bytes_copyable<Node>);

#include <array>
#include <cereal/cereal.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/fields.hpp>
#include <apalis/trivially_sendable.hpp>

namespace apalis {

class OutputArchive;
class InputArchive;

template <class Rep, class Period>
inline constexpr bool trivially_sendable<std::chrono::duration<Rep, Period>> =
    std::is_arithmetic_v<Rep>;
template <class Clock, class Duration>
inline constexpr bool trivially_sendable<std::chrono::time_point<Clock, Duration>> =
    trivially_sendable<Duration>;

namespace detail::wire {

// A user's functions are looked for with archives that ours know nothing of: asking with
// OutputArchive would find its own functions for bytes-copyable types, which ask this question.
// `Beside` lies in the namespace where cereal's functions for std types are found, and those that
// users put there for the types of others.
template <class Beside>
struct ProbeOutputOf : cereal::detail::OutputArchiveBase {
  using is_loading = std::false_type;
  using is_saving = std::true_type;
  template <class... T>
  ProbeOutputOf& operator()(T&&...);
  operator OutputArchive&();  // NOLINT(google-explicit-constructor): for functions of that archive
};
template <class Beside>
struct ProbeInputOf : cereal::detail::InputArchiveBase {
  using is_loading = std::true_type;
  using is_saving = std::false_type;
  template <class... T>
  ProbeInputOf& operator()(T&&...);
  operator InputArchive&();  // NOLINT(google-explicit-constructor): for functions of that archive
};

using ProbeOutput = ProbeOutputOf<cereal::Exception>;
using ProbeInput = ProbeInputOf<cereal::Exception>;

/// T comes with cereal functions (a user's, or those of cereal for std types), which then decide.
template <class T>
concept has_cereal_functions = cereal::traits::has_member_serialize<T, ProbeOutput>::value ||
    cereal::traits::has_member_versioned_serialize<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_serialize<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_versioned_serialize<T, ProbeOutput>::value ||
    cereal::traits::has_member_save<T, ProbeOutput>::value ||
    cereal::traits::has_member_versioned_save<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_save<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_versioned_save<T, ProbeOutput>::value ||
    cereal::traits::has_member_save_minimal<T, ProbeOutput>::value ||
    cereal::traits::has_member_versioned_save_minimal<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_save_minimal<T, ProbeOutput>::value ||
    cereal::traits::has_non_member_versioned_save_minimal<T, ProbeOutput>::value ||
    cereal::traits::has_load_and_construct<T, ProbeInput>::value;

// std::complex by its looks: <complex> would cost every user a tenth of a second of compile time.
template <class T>
inline constexpr bool is_complex_number = false;
template <template <class> class Complex, class Real>
  requires std::is_arithmetic_v<Real>
inline constexpr bool is_complex_number<Complex<Real>> =
    std::is_trivially_copyable_v<Complex<Real>> && sizeof(Complex<Real>) == 2 * sizeof(Real) &&
    requires(const Complex<Real>& z) {
  { z.real() } -> std::same_as<Real>;
  { z.imag() } -> std::same_as<Real>;
};

template <class T>
consteval bool is_bytes_copyable();

template <class List>
inline constexpr bool all_bytes_copyable = false;
template <class... T>
inline constexpr bool all_bytes_copyable<TypeList<T...>> =
    (is_bytes_copyable<T>() && ...);  // NOLINT(misc-redundant-expression): of one type

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t n>
inline constexpr bool is_std_array<std::array<T, n>> = true;

template <class T>
consteval bool is_bytes_copyable() {
  using Element = std::remove_all_extents_t<T>;
  if constexpr (std::is_const_v<T>) {
    return is_bytes_copyable<std::remove_const_t<T>>();
  } else if constexpr (std::is_bounded_array_v<T>) {
    return is_bytes_copyable<Element>();
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return true;
  } else if constexpr (!std::is_object_v<T> || std::is_scalar_v<T> || std::is_array_v<T>) {
    return false;
  } else if constexpr (trivially_sendable<T>) {
    static_assert(std::is_trivially_copyable_v<T>,
                  "apalis: trivially_sendable is only for trivially copyable types; give this one "
                  "a cereal serialize function instead");
    return true;
  } else if constexpr (!std::is_trivially_copyable_v<T> || std::is_union_v<T>) {
    return false;
  } else if constexpr (is_std_array<T>) {
    return is_bytes_copyable<typename T::value_type>();
  } else if constexpr (is_complex_number<T>) {
    return true;
  } else if constexpr (has_cereal_functions<T>) {
    return false;
  } else if constexpr (std::is_empty_v<T>) {
    return true;
  } else {
    return all_bytes_copyable<Fields<T>>;
  }
}
template <>
inline constexpr bool all_bytes_copyable<TypeList<Opaque>> = false;

/// T may cross as its bytes: arithmetic types, enums, and arrays and aggregates of those without
/// cereal functions of their own, at any depth; empty classes; what opted in.
template <class T>
concept bytes_copyable = is_bytes_copyable<T>();

}  // namespace detail::wire
}  // namespace apalis
