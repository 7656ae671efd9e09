// SPDX-License-Identifier: BSL-1.0
#pragma once

// How one parameter and one result of a call cross, and which do not.
//
//   void f(const std::string& name, std::span<const double> xs, int k);
//   // decoded as           std::string, std::span<const double>, int

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/refusal.hpp>

namespace apalis::detail::wire {

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t n>
inline constexpr bool is_span<std::span<T, n>> = true;

template <class T>
inline constexpr bool is_mutable_span = false;
template <class T, std::size_t n>
inline constexpr bool is_mutable_span<std::span<T, n>> = !std::is_const_v<T>;

template <class T>
inline constexpr bool is_string_view = false;
template <class C, class Traits>
inline constexpr bool is_string_view<std::basic_string_view<C, Traits>> = true;

template <class T>
inline constexpr bool is_view = is_span<T> || is_string_view<T>;

template <class T>
inline constexpr bool is_pointer_like =
    std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;

/// What crosses by a name instead of a copy, and what a parameter can make of it in the worker.
/// Specialised for Arguments and parameters without their const and references, with
///   static constexpr bool value = true;
///   using Named = …;                                   // crosses in the argument's place
///   static decltype(auto) parameter(Named& named);     // what the callable is handed
template <class Argument, class P>
struct Carrier {
  static constexpr bool value = false;
};

/// In place of a parameter P that is made of a Carrier's Named.
template <class P, class Argument>
struct MadeOf {};

template <class P>
struct DecodedFor {
  using type = std::remove_cvref_t<P>;
};
template <class P, class Argument>
struct DecodedFor<MadeOf<P, Argument>> {
  using type = typename Carrier<Argument, std::remove_cvref_t<P>>::Named;
};

/// What is decoded in the worker for a parameter declared as P.
template <class P>
using Decoded = typename DecodedFor<P>::type;

/// What the callable is handed of it.
template <class P>
struct Handed {
  static P&& from(Decoded<P>& value) noexcept { return static_cast<P&&>(value); }
};
template <class P, class Argument>
struct Handed<MadeOf<P, Argument>> {
  static decltype(auto) from(Decoded<MadeOf<P, Argument>>& value) {
    return Carrier<Argument, std::remove_cvref_t<P>>::parameter(value);
  }
};

/// A parameter declared as P, for an Argument.
template <class P, class Argument>
struct CrossingFor {
  static constexpr bool changes = std::is_lvalue_reference_v<P> &&
                                  !std::is_const_v<std::remove_reference_t<P>>;
  using type = std::conditional_t<
      Carrier<std::remove_cvref_t<Argument>, std::remove_cvref_t<P>>::value && !changes,
      MadeOf<P, std::remove_cvref_t<Argument>>, P>;
};
/// The same for all of them; where their numbers differ, somebody else says so.
template <class Parameters, class Arguments>
struct Crossing {
  using type = Parameters;
};
template <class... P, class... Arguments>
  requires(sizeof...(P) == sizeof...(Arguments))
struct Crossing<TypeList<P...>, TypeList<Arguments...>> {
  using type = TypeList<typename CrossingFor<P, Arguments>::type...>;
};

template <class P>
inline constexpr bool is_made = false;
template <class P, class Argument>
inline constexpr bool is_made<MadeOf<P, Argument>> = true;

/// What an argument is sent as when the callable does not declare its parameter's type.
template <class Argument>
using GenericArgument = std::conditional_t<std::is_same_v<std::decay_t<Argument>, const char*> ||
                                               std::is_same_v<std::decay_t<Argument>, char*>,
                                           std::string, std::decay_t<Argument>>;

/// Refuses a T that can't cross, in the words that fit why.
template <class T>
consteval auto refuse_value() {
  using Bad = Culprit<T>;
  if constexpr (is_pointer_like<Bad>) {
    return Refused<PointerInside<Bad>>{};
  } else if constexpr (is_view<Bad>) {
    return Refused<ViewInside<Bad>>{};
  } else if constexpr (std::is_abstract_v<Bad>) {
    return Refused<AbstractValue<Bad>>{};
  } else if constexpr (sendable<Bad> &&
                       (std::is_same_v<Bad, T> || std::default_initializable<Bad>)) {
    return Refused<Immovable<Bad>>{};
  } else if constexpr (sendable<Bad>) {
    return Refused<ElementWithoutDefaultConstructor<Bad>>{};
  } else if constexpr (has_cereal_functions<Bad>) {
    if constexpr (cereal::traits::is_output_serializable<Bad, OutputArchive>::value &&
                  !std::default_initializable<Bad>) {
      return Refused<NoDefaultConstructor<Bad>>{};
    } else {
      return Refused<NoSerialisation<Bad>>{};
    }
  } else if constexpr (std::is_aggregate_v<Bad> && std::is_trivially_copyable_v<Bad> &&
                       !std::is_union_v<Bad>) {
    if constexpr (std::is_same_v<Fields<Bad>, TypeList<Opaque>>) {
      return Refused<OpaqueAggregate<Bad>>{};
    } else {
      return Refused<UnsendableField<Bad, typename FirstBadField<Fields<Bad>>::type>>{};
    }
  } else {
    return Refused<NoSerialisation<Bad>>{};
  }
}

template <class T>
consteval auto can_cross() {
  if constexpr (sendable_value<T>) {
    return Accepted{};
  } else {
    return refuse_value<T>();
  }
}

/// May a callable declare a parameter as P?
template <class P>
consteval auto can_be_parameter() {
  using T = Decoded<P>;
  if constexpr (is_made<P>) {
    return Accepted{};
  } else if constexpr (is_mutable_span<T>) {
    return Refused<MutableSpanParameter<P>>{};
  } else if constexpr (std::is_lvalue_reference_v<P> &&
                       !std::is_const_v<std::remove_reference_t<P>>) {
    return Refused<MutableReferenceParameter<P>>{};
  } else if constexpr (borrowed<T>) {
    return Accepted{};
  } else if constexpr (is_span<T>) {
    return Refused<SpanOfUnsendable<P>>{};
  } else if constexpr (is_pointer_like<T>) {
    return Refused<PointerParameter<P>>{};
  } else {
    return can_cross<T>();
  }
}

/// A parameter that must be made from the argument before it can be encoded.
template <class P, class Argument>
inline constexpr bool needs_conversion =
    !std::is_same_v<Decoded<P>, std::remove_cvref_t<Argument>> ||
    !std::copy_constructible<Decoded<P>>;

/// May an Argument be passed for a parameter declared as P?
template <class P, class Argument>
consteval auto can_pass() {
  using T = Decoded<P>;
  using From = std::remove_cvref_t<Argument>;
  if constexpr (!std::is_same_v<T, From> && std::is_polymorphic_v<T> &&
                std::is_base_of_v<T, From>) {
    return Refused<Sliced<From, T>>{};
  } else if constexpr (needs_conversion<P, Argument> && !std::is_convertible_v<Argument, T> &&
                       !(borrowed<T> && std::is_constructible_v<T, Argument&>)) {
    return Refused<NotConvertible<Argument, P>>{};
  } else {
    return Accepted{};
  }
}

/// May R be returned from a worker?
template <class R>
consteval auto can_be_result() {
  using T = std::remove_cvref_t<R>;
  if constexpr (std::is_void_v<R>) {
    return Accepted{};
  } else if constexpr (is_pointer_like<T>) {
    return Refused<PointerResult<R>>{};
  } else if constexpr (is_view<T>) {
    return Refused<ViewResult<R>>{};
  } else if constexpr (std::is_lvalue_reference_v<R> &&
                       !std::is_const_v<std::remove_reference_t<R>>) {
    return Refused<MutableReferenceResult<R>>{};
  } else {
    return can_cross<T>();
  }
}

/// Calls `use` with the argument as the parameter's type, made only where it is another one: then it
/// is an rvalue.
template <class P, class Argument, class Use>
void with_converted(Argument&& argument, Use&& use) {
  using T = Decoded<P>;
  if constexpr (!needs_conversion<P, Argument>) {
    use(std::as_const(argument));
  } else if constexpr (borrowed<T>) {
    use(static_cast<const T&>(T(argument)));
  } else {
    use(static_cast<T>(std::forward<Argument>(argument)));
  }
}

/// Bytes that a parameter takes in every call; 0 if that depends on the argument.
template <class P>
inline constexpr std::size_t fixed_size =
    bytes_copyable<Decoded<P>> && !borrowed<Decoded<P>> && !by_name<Decoded<P>>
        ? sizeof(Decoded<P>) : 0;

}  // namespace apalis::detail::wire
