// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be called in a worker: which parameters and result a callable has there, whether they
// can cross, and how the callable itself does.
//
//   can_call<true, Counter, int (Counter::*)(int), short>()          // Accepted{}
//   CallShape<Counter, int (Counter::*)(int), short>::Parameters     // TypeList<int>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include <apalis/by_value.hpp>
#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/refusal.hpp>

namespace apalis::detail::wire {

template <class F>
inline constexpr bool is_std_function = false;
template <class S>
inline constexpr bool is_std_function<std::function<S>> = true;

template <class F>
inline constexpr bool is_by_value = false;
template <class F>
inline constexpr bool is_by_value<by_value_t<F>> = true;

template <class F>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

template <class F>
inline constexpr bool is_stateless =
    std::is_class_v<F> && std::is_empty_v<F> && std::is_trivially_copyable_v<F>;

/// The type that is called: what by_value() wraps, else F itself.
template <class F>
struct CalleeOf {
  using type = F;
};
template <class F>
struct CalleeOf<by_value_t<F>> {
  using type = F;
};
template <class F>
using Callee = typename CalleeOf<F>::type;

// ---- Parameters and result ----------------------------------------------------------------------

/// Parameters behind the object, and the result, of a Callee called with Arguments.
template <class A, class F, class... Arguments>
struct CallShape {
  using Parameters = TypeList<GenericArgument<Arguments>...>;
  using Result = std::invoke_result_t<F&, A&, GenericArgument<Arguments>...>;
};
template <class A, class F, class... Arguments>
  requires has_signature<F>
struct CallShape<A, F, Arguments...> {
  using Parameters = typename Crossing<typename ListTail<typename SignatureOf<F>::Parameters>::Tail,
                                       TypeList<Arguments...>>::type;
  using Result = typename SignatureOf<F>::Result;
};
template <class A, class F, class... Arguments>
  requires(has_signature<F> && std::is_member_function_pointer_v<F>)
struct CallShape<A, F, Arguments...> {
  using Parameters =
      typename Crossing<typename SignatureOf<F>::Parameters, TypeList<Arguments...>>::type;
  using Result = typename SignatureOf<F>::Result;
};

template <class P, class Argument>
consteval auto can_be_passed() {
  constexpr auto as_parameter = can_be_parameter<P>();
  if constexpr (!as_parameter) {
    return as_parameter;
  } else {
    return can_pass<P, Argument>();
  }
}

/// The first that can't be passed speaks; the others are not looked at.
consteval auto can_all_be_passed(TypeList<>, TypeList<>) {
  return Accepted{};
}
template <class P, class... Ps, class Argument, class... Arguments>
consteval auto can_all_be_passed(TypeList<P, Ps...>, TypeList<Argument, Arguments...>) {
  constexpr auto first = can_be_passed<P, Argument>();
  if constexpr (!first) {
    return first;
  } else {
    return can_all_be_passed(TypeList<Ps...>{}, TypeList<Arguments...>{});
  }
}

/// Can Arguments be sent to a callable with this signature, and its result come back?
template <bool with_result, class A, class F, class... Arguments>
consteval auto can_exchange() {
  using Shape = CallShape<A, F, Arguments...>;
  using Parameters = typename Shape::Parameters;
  if constexpr (Parameters::size != sizeof...(Arguments)) {
    return Refused<WrongNumberOfArguments<F, Parameters, Arguments...>>{};
  } else if constexpr (!can_all_be_passed(Parameters{}, TypeList<Arguments...>{})) {
    return can_all_be_passed(Parameters{}, TypeList<Arguments...>{});
  } else if constexpr (with_result) {
    return can_be_result<typename Shape::Result>();
  } else {
    return Accepted{};
  }
}

template <bool with_result, class A, class F, class... Arguments>
consteval auto can_call_object() {
  if constexpr (has_signature<F>) {
    using Parameters = typename SignatureOf<F>::Parameters;
    if constexpr (Parameters::size == 0) {
      return Refused<ObjectNotFirst<A, F>>{};
    } else if constexpr (!std::is_convertible_v<A&, typename ListTail<Parameters>::Head>) {
      return Refused<ObjectNotFirst<A, F>>{};
    } else {
      return can_exchange<with_result, A, F, Arguments...>();
    }
  } else if constexpr ((is_view<std::decay_t<Arguments>> || ...)) {
    return Refused<ViewArgument<TypeList<std::decay_t<Arguments>...>>>{};
  } else if constexpr (!can_all_be_passed(TypeList<GenericArgument<Arguments>...>{},
                                          TypeList<Arguments...>{})) {
    return can_all_be_passed(TypeList<GenericArgument<Arguments>...>{}, TypeList<Arguments...>{});
  } else if constexpr (!std::is_invocable_v<F&, A&, GenericArgument<Arguments>...>) {
    return Refused<NotCallableWith<A, F, GenericArgument<Arguments>...>>{};
  } else {
    return can_exchange<with_result, A, F, Arguments...>();
  }
}

/// Can a Callee be called on an A in another process?
template <bool with_result, class A, class F, class... Arguments>
consteval auto can_call() {
  if constexpr (std::is_member_object_pointer_v<F>) {
    return Refused<DataMemberPointer<F>>{};
  } else if constexpr (std::is_member_function_pointer_v<F>) {
    if constexpr (!has_signature<F>) {
      return Refused<NotCallable<F>>{};
    } else if constexpr (!std::is_convertible_v<A*, typename SignatureOf<F>::Class*>) {
      return Refused<NotAMemberOf<A, F>>{};
    } else {
      return can_exchange<with_result, A, F, Arguments...>();
    }
  } else if constexpr (is_function_pointer<F> || std::is_class_v<F>) {
    return can_call_object<with_result, A, F, Arguments...>();
  } else {
    return Refused<NotCallable<F>>{};
  }
}

// ---- How the callable crosses -------------------------------------------------------------------

/// Not at all: it is part of the thunk's type.
template <auto f>
struct ConstantTarget {
  using Callable = std::remove_const_t<decltype(f)>;
  static constexpr std::size_t size = 0;
  static Callable decode(Reader&) { return f; }
};

/// Not at all: a closure without captures has no state, and no constructor is asked for it.
template <class F>
struct StatelessTarget {
  using Callable = F;
  static constexpr std::size_t size = 0;
  static void write(std::byte*, const F&) {}
  static F decode(Reader&) { return std::bit_cast<F>(std::byte{}); }
};

/// As its bytes: function pointers, and what by_value() wraps.
template <class F>
struct BytesTarget {
  using Callable = F;
  static constexpr std::size_t size = sizeof(F);
  static void write(std::byte* at, const F& f) { std::memcpy(at, std::addressof(f), sizeof(F)); }
  static F decode([[maybe_unused]] Reader& reader) {
    if constexpr (!std::is_trivially_copyable_v<F>) {
      std::terminate();  // by_value() refused it: that sentence is the only one to show
    } else {
      struct Bytes {
        alignas(F) std::byte bytes[sizeof(F)];
      } copy;
      reader.read(copy.bytes, sizeof(F));
      return std::bit_cast<F>(copy);
    }
  }
};

// The Itanium ABI's pointer to a member function: an address or vtable offset, and what to add to
// `this`, which is 0 unless the member belongs to a second base.
using MemberPointerWords = std::array<std::uintptr_t, 2>;

/// A member function pointer that adjusts nothing, as its first word.
template <class F>
struct MemberTarget {
  static_assert(sizeof(F) == sizeof(MemberPointerWords));
  using Callable = F;
  static constexpr std::size_t size = sizeof(std::uintptr_t);
  static void write(std::byte* at, const F& f) {
    const auto words = std::bit_cast<MemberPointerWords>(f);
    std::memcpy(at, words.data(), size);
  }
  static F decode(Reader& reader) {
    MemberPointerWords words{};
    reader.read(words.data(), size);
    return std::bit_cast<F>(words);
  }
};

/// By its cereal functions.
template <class F>
struct EncodedTarget {
  using Callable = F;
  static F decode(Reader& reader) { return wire::decode<F>(reader); }
};

/// How an F that is neither a member function pointer nor part of a type crosses; void if it can't.
template <class F>
struct TargetFor {
  using type = std::conditional_t<
      is_function_pointer<F>, BytesTarget<F>,
      std::conditional_t<
          is_stateless<F>, StatelessTarget<F>,
          std::conditional_t<std::is_class_v<F> && sendable_value<F>, EncodedTarget<F>, void>>>;
};
template <class F>
struct TargetFor<by_value_t<F>> {
  using type = BytesTarget<F>;
};
template <class F>
using Target = typename TargetFor<F>::type;

template <class F>
consteval auto can_carry() {
  if constexpr (std::is_member_pointer_v<F>) {
    return Accepted{};
  } else if constexpr (is_std_function<F>) {
    return Refused<StdFunction<F>>{};
  } else if constexpr (!std::is_class_v<F> && !is_function_pointer<F>) {
    return Refused<NotCallable<F>>{};
  } else if constexpr (is_by_value<F>) {
    return Accepted{};  // by_value() itself refuses
  } else if constexpr (std::is_void_v<Target<F>>) {
    return Refused<ClosureWithCaptures<F>>{};
  } else {
    return Accepted{};
  }
}

// g++'s sanitizer checks a member that belongs to a second base against the class of the pointer,
// at the address of that base, and so reports every call of one. Elsewhere the attribute changes
// nothing.
template <class A, class F, class... Values>
__attribute__((no_sanitize("vptr", "alignment", "null", "object-size"))) decltype(auto)
call_member(A& object, F f, Values&&... values) {
  if constexpr (SignatureOf<F>::on_rvalue) {
    return (std::move(object).*f)(std::forward<Values>(values)...);
  } else {
    return (object.*f)(std::forward<Values>(values)...);
  }
}

/// Calls f on the object; member function pointers as (object.*f)(…).
template <class A, class F, class... Values>
decltype(auto) call_on(A& object, F& f, Values&&... values) {
  if constexpr (std::is_member_function_pointer_v<F>) {
    return call_member(object, f, std::forward<Values>(values)...);
  } else {
    return f(object, std::forward<Values>(values)...);
  }
}

}  // namespace apalis::detail::wire
