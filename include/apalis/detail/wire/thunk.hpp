// SPDX-License-Identifier: BSL-1.0
#pragma once

// From a callable and its arguments to bytes, and from these to the call.
//
//   Buffer message;
//   encode_call<Counter>(message, &Counter::add, 5);      // here
//   entry->invoke(object, reader, result);                // there
//   using R = call_result_t<Counter, int (Counter::*)(int), int>;   // int

#include <apalis/detail/core/type_name.hpp>
#include <apalis/detail/wire/callable.hpp>
#include <apalis/detail/wire/entry.hpp>
#include <algorithm>
#include <tuple>

namespace apalis::detail::wire {

/// What is known of calling an F on an A with Args: the parameters after the object, the result.
/// Ordinary member functions and callables with one signature declare both; for generic callables
/// they follow from the arguments.
template <class A, class F, class... Args>
struct Shape {
  static constexpr bool generic = true;
  static constexpr bool known = std::is_invocable_v<F&, A&, GenericArgument<Args>...>;
  using Parameters = TypeList<GenericArgument<Args>...>;
  using Result = typename std::conditional_t<known,
                                             std::invoke_result<F&, A&, GenericArgument<Args>...>,
                                             std::type_identity<void>>::type;
};

template <class A, class F, class... Args>
requires(std::is_member_function_pointer_v<F>) struct Shape<A, F, Args...> {
  static constexpr bool generic = false;
  using Parameters = typename SignatureOf<F>::Parameters;
  using Result = typename SignatureOf<F>::Result;
};

template <class A, class F, class... Args>
requires(!std::is_member_function_pointer_v<F> && has_signature<F> &&
         (SignatureOf<F>::Parameters::size > 0)) struct Shape<A, F, Args...> {
  static constexpr bool generic = false;
  using Parameters = typename ListTail<typename SignatureOf<F>::Parameters>::Tail;
  using Result = typename SignatureOf<F>::Result;
};

template <class A, class F, class... Args>
struct Shape<A, by_value_t<F>, Args...> : Shape<A, F, Args...> {};

template <class F>
struct Unwrapped {
  using type = F;
};
template <class F>
struct Unwrapped<by_value_t<F>> {
  using type = F;
};

// --- Checks ---------------------------------------------------------------------------------------

template <bool aloud, class A, class F, class... Args>
consteval bool takes_object() {
  using G = typename Unwrapped<F>::type;
  if constexpr (std::is_member_function_pointer_v<G>) {
    if constexpr (!std::is_convertible_v<A*, typename SignatureOf<G>::Class*> &&
                  !std::is_convertible_v<A*, const typename SignatureOf<G>::Class*>) {
      return refuse<aloud, NotAMemberOf<A, G>>();
    } else {
      return true;
    }
  } else if constexpr (has_signature<G>) {
    if constexpr (SignatureOf<G>::Parameters::size == 0) {
      return refuse<aloud, ObjectNotFirst<A, G>>();
    } else if constexpr (!std::is_convertible_v<
                             A&, typename ListTail<typename SignatureOf<G>::Parameters>::Head>) {
      return refuse<aloud, ObjectNotFirst<A, G>>();
    } else {
      return true;
    }
  } else if constexpr (!Shape<A, G, Args...>::known) {
    return refuse<aloud, NotCallableWith<A, G, Args...>>();
  } else {
    return true;
  }
}

template <bool aloud, class F, bool generic, class... P, class... Args>
consteval bool takes_arguments(TypeList<P...>, TypeList<Args...>) {
  if constexpr (sizeof...(P) != sizeof...(Args)) {
    return refuse<aloud, WrongNumberOfArguments<F, TypeList<P...>, Args...>>();
  } else if constexpr (generic) {
    return ((is_view<P> ? refuse<aloud && is_view<P>, ViewArgument<P>>()
                        : can_be_parameter<aloud && !is_view<P>, P>()) &&
            ...);
  } else {
    return (can_be_parameter<aloud, P>() && ...) && (can_pass<aloud, P, Args>() && ...);
  }
}

/// Everything that must hold for this call to cross; with `aloud`, what does not is a sentence.
template <bool aloud, bool drop_result, class A, class F, class... Args>
consteval bool can_call() {
  if constexpr (!can_send_callable<aloud, F>()) {
    return false;
  } else if constexpr (!takes_object<aloud, A, F, Args...>()) {
    return false;
  } else {
    using S = Shape<A, F, Args...>;
    if constexpr (!takes_arguments<aloud, F, S::generic>(typename S::Parameters{},
                                                         TypeList<Args...>{})) {
      return false;
    } else if constexpr (drop_result) {
      return true;
    } else {
      return can_be_result<aloud, typename S::Result>();
    }
  }
}

// --- The worker's side ------------------------------------------------------------------------------

/// Hands a decoded value to a parameter declared as P: const references as they are, the rest moved.
template <class P, class T>
constexpr decltype(auto) hand_over(T& value) noexcept {
  if constexpr (std::is_lvalue_reference_v<P>) {
    return std::as_const(value);
  } else {
    return std::move(value);
  }
}

template <class Call>
void encode_result(Buffer& result, Call&& call) {
  using R = std::invoke_result_t<Call>;
  if constexpr (std::is_void_v<R>) {
    call();
  } else {
    wire::encode<std::remove_cvref_t<R>>(result, call());
  }
}

template <class A, class F, bool drop_result, class... P>
void invoke_with(A& object, F& callable, Reader& reader, Buffer& result, TypeList<P...>) {
  // Braces: decoded from left to right, as encoded.
  std::tuple<Decoded<P>...> values{wire::decode<Decoded<P>>(reader)...};
  const auto call = [&]() -> decltype(auto) {
    return std::apply(
        [&](auto&... value) -> decltype(auto) {
          if constexpr (std::is_member_function_pointer_v<F>) {
            if constexpr (std::is_invocable_v<F, A&, decltype(hand_over<P>(value))...>) {
              return std::invoke(callable, object, hand_over<P>(value)...);
            } else {  // a member function that is &&-qualified
              return std::invoke(callable, std::move(object), hand_over<P>(value)...);
            }
          } else {
            return std::invoke(callable, object, hand_over<P>(value)...);
          }
        },
        values);
  };
  if constexpr (drop_result) {
    static_cast<void>(call());
  } else {
    encode_result(result, call);
  }
}

template <class F>
auto& unwrapped(F& callable) {
  if constexpr (is_by_value<F>) {
    return callable.callable;
  } else {
    return callable;
  }
}

template <class A, class F, class List, bool plain, bool drop_result>
void invoke_thunk(void* object, Reader& reader, Buffer& result) {
  F callable = CallableForm<F>::template decode<plain>(reader);
  auto& target = unwrapped(callable);
  invoke_with<A, std::remove_reference_t<decltype(target)>, drop_result>(
      *static_cast<A*>(object), target, reader, result, List{});
}

template <class A, auto method, class List, bool drop_result>
void invoke_bound_thunk(void* object, Reader& reader, Buffer& result) {
  auto target = method;
  invoke_with<A, decltype(target), drop_result>(*static_cast<A*>(object), target, reader, result,
                                                List{});
}

template <class... P>
constexpr std::size_t alignment_of_arguments(TypeList<P...>) {
  return std::max({std::size_t{1}, encoded_alignment<Decoded<P>>()...});
}

template <class A, class F, class List, bool plain, bool drop_result>
inline constexpr Entry entry_of{&invoke_thunk<A, F, List, plain, drop_result>,
                                type_name<typename Unwrapped<F>::type>(),
                                alignment_of_arguments(List{})};

template <class A, auto method, class List, bool drop_result>
inline constexpr Entry bound_entry_of{&invoke_bound_thunk<A, method, List, drop_result>,
                                      value_name<method>(), alignment_of_arguments(List{})};

// --- The parent's side ------------------------------------------------------------------------------

inline void encode_entry(Buffer& buffer, const Entry& entry) {
  const Entry* const address = &entry;
  buffer.append(&address, sizeof address);
}

template <class... P, class... Args>
void encode_arguments(Buffer& buffer, TypeList<P...>, Args&&... args) {
  (with_converted<P>(std::forward<Args>(args),
                     [&](const auto& value) { wire::encode<Decoded<P>>(buffer, value); }),
   ...);
}

template <class A, class F, bool drop_result, class... Args>
void encode_checked(Buffer& buffer, const F& callable, Args&&... args) {
  using List = typename Shape<A, F, Args...>::Parameters;
  if (CallableForm<F>::is_plain(callable)) [[likely]] {
    encode_entry(buffer, entry_of<A, F, List, true, drop_result>);
    CallableForm<F>::template encode<true>(buffer, callable);
  } else {
    encode_entry(buffer, entry_of<A, F, List, false, drop_result>);
    CallableForm<F>::template encode<false>(buffer, callable);
  }
  encode_arguments(buffer, List{}, std::forward<Args>(args)...);
}

template <bool fine, class A, class F, class... Args>
struct CallResult {
  using type = void;
};
template <class A, class F, class... Args>
struct CallResult<true, A, F, Args...> {
  using type = std::remove_cvref_t<typename Shape<A, F, Args...>::Result>;
};

/// What Token<R> holds for a call of an F: a value for a const reference; void for what is refused,
/// so that encode_call()'s sentence stands alone.
template <class A, class F, class... Args>
using call_result_t =
    typename CallResult<can_call<false, false, A, F, Args...>(), A, F, Args...>::type;

template <class A, auto method, class... Args>
using call_result_v_t = call_result_t<A, std::remove_const_t<decltype(method)>, Args...>;

/// Appends the call to an empty buffer. What can't cross is refused here.
template <class A, class F, class... Args>
void encode_call(Buffer& buffer, const F& callable, Args&&... args) {
  using G = std::decay_t<F>;
  if constexpr (can_call<true, false, A, G, Args...>())
    encode_checked<A, G, false>(buffer, callable, std::forward<Args>(args)...);
}

/// The same, its result dropped in the worker, so it need not be able to cross.
template <class A, class F, class... Args>
void encode_post(Buffer& buffer, const F& callable, Args&&... args) {
  using G = std::decay_t<F>;
  if constexpr (can_call<true, true, A, G, Args...>())
    encode_checked<A, G, true>(buffer, callable, std::forward<Args>(args)...);
}

template <class A, auto method, bool drop_result, class... Args>
void encode_bound(Buffer& buffer, Args&&... args) {
  using F = std::remove_const_t<decltype(method)>;
  if constexpr (can_call<true, drop_result, A, F, Args...>()) {
    using List = typename Shape<A, F, Args...>::Parameters;
    encode_entry(buffer, bound_entry_of<A, method, List, drop_result>);
    encode_arguments(buffer, List{}, std::forward<Args>(args)...);
  }
}

/// The same with the callable bound at compile time: nothing of it is sent.
template <class A, auto method, class... Args>
void encode_call_v(Buffer& buffer, Args&&... args) {
  encode_bound<A, method, false>(buffer, std::forward<Args>(args)...);
}
template <class A, auto method, class... Args>
void encode_post_v(Buffer& buffer, Args&&... args) {
  encode_bound<A, method, true>(buffer, std::forward<Args>(args)...);
}

}  // namespace apalis::detail::wire
