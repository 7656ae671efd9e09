// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a map calls: f(item, arguments...) or f(state, item, arguments...), with which parameters,
// and whether all of that can cross.

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/callable.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/refusal.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/engine_options.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace apalis::detail::wire {

template <class F, class Item, class... Arguments>
struct NotCallableWithItem {
  static_assert(never<F>,
                "apalis: this callable can't be called with an item of the second type and these "
                "arguments (the item arrives as an rvalue, the arguments as const lvalues: auto, "
                "const auto& and auto&& take them, auto& does not)");
};
template <class S, class F>
struct StateNotFirst {
  static_assert(never<F>,
                "apalis: a callable of with_state<S>() takes the worker's state as its first "
                "parameter, S& or const S&");
};
template <class P>
struct ArgumentNotCopyable {
  static_assert(never<P>,
                "apalis: an argument of every call can't be taken by value if it can't be copied: "
                "take this parameter by const reference");
};

}  // namespace apalis::detail::wire

namespace apalis::detail::engine {

template <class Argument>
inline constexpr bool is_seeds = std::is_same_v<std::remove_cvref_t<Argument>, Seeds>;
/// What an argument of map() is to the callable.
template <class Argument>
using Meant = std::conditional_t<is_seeds<Argument>, const std::uint64_t&, Argument>;

/// As what an item is looked at: one that can't be copied need not be, for it is encoded where it is.
template <class Item>
using Offered = std::conditional_t<std::copy_constructible<std::remove_cvref_t<Item>>, Item,
                                   std::remove_cvref_t<Item>>;

/// What is called: what by_value() wraps, else F itself.
template <class F>
using Callee = wire::Callee<F>;

template <class F>
inline constexpr bool is_method = std::is_member_function_pointer_v<F>;

// Parameters behind the state, the item's first, and the result.

template <class S, class F, class Item, class... Arguments>
struct MapShape {  // generic: told by what it is given
  using Parameters =
      TypeList<wire::GenericArgument<Item>, const wire::GenericArgument<Arguments>&...>;
  using Result = std::invoke_result_t<F&, S&, wire::GenericArgument<Item>,
                                      const wire::GenericArgument<Arguments>&...>;
};
template <class F, class Item, class... Arguments>
struct MapShape<void, F, Item, Arguments...> {
  using Parameters =
      TypeList<wire::GenericArgument<Item>, const wire::GenericArgument<Arguments>&...>;
  using Result = std::invoke_result_t<F&, wire::GenericArgument<Item>,
                                      const wire::GenericArgument<Arguments>&...>;
};
template <class F, class Item, class... Arguments>
  requires(has_signature<F> && !is_method<F>)
struct MapShape<void, F, Item, Arguments...> {
  using Parameters = typename wire::Crossing<typename SignatureOf<F>::Parameters,
                                             TypeList<Item, Arguments...>>::type;
  using Result = typename SignatureOf<F>::Result;
};
template <class S, class F, class Item, class... Arguments>
  requires(has_signature<F> && !is_method<F>)
struct MapShape<S, F, Item, Arguments...> {
  using Parameters =
      typename wire::Crossing<typename ListTail<typename SignatureOf<F>::Parameters>::Tail,
                              TypeList<Item, Arguments...>>::type;
  using Result = typename SignatureOf<F>::Result;
};

template <class Item, class List>
struct Prepend;
template <class Item, class... P>
struct Prepend<Item, TypeList<P...>> {
  using type = TypeList<Item, P...>;
};
/// A member function of the items.
template <class F, class Item, class... Arguments>
  requires(has_signature<F> && is_method<F>)
struct MapShape<void, F, Item, Arguments...> {
  using Parameters =
      typename Prepend<wire::GenericArgument<Item>,
                       typename wire::Crossing<typename SignatureOf<F>::Parameters,
                                               TypeList<Arguments...>>::type>::type;
  using Result = typename SignatureOf<F>::Result;
};

// ---- Verdicts -----------------------------------------------------------------------------------

template <class P>
consteval auto can_be_lent() {
  using T = wire::Decoded<P>;
  constexpr bool copied = !wire::is_made<P> && !std::is_lvalue_reference_v<P>;
  if constexpr (copied && !std::copy_constructible<T>) {
    return wire::Refused<wire::ArgumentNotCopyable<P>>{};
  } else {
    return wire::Accepted{};
  }
}
consteval auto can_all_be_lent(TypeList<>) { return wire::Accepted{}; }
template <class P, class... Rest>
consteval auto can_all_be_lent(TypeList<P, Rest...>) {
  constexpr auto first = can_be_lent<P>();
  if constexpr (!first) {
    return first;
  } else {
    return can_all_be_lent(TypeList<Rest...>{});
  }
}

template <bool with_result, class S, class F, class Item, class... Arguments>
consteval auto can_exchange() {
  using Shape = MapShape<S, F, Item, Arguments...>;
  using Parameters = typename Shape::Parameters;
  if constexpr (Parameters::size != 1 + sizeof...(Arguments)) {
    return wire::Refused<wire::WrongNumberOfArguments<F, Parameters, Item, Arguments...>>{};
  } else if constexpr (!wire::can_all_be_passed(Parameters{}, TypeList<Item, Arguments...>{})) {
    return wire::can_all_be_passed(Parameters{}, TypeList<Item, Arguments...>{});
  } else if constexpr (!can_all_be_lent(typename ListTail<Parameters>::Tail{})) {
    return can_all_be_lent(typename ListTail<Parameters>::Tail{});
  } else if constexpr (with_result) {
    return wire::can_be_result<typename Shape::Result>();
  } else {
    return wire::Accepted{};
  }
}

template <class S, class F, class... Arguments>
inline constexpr bool takes_first = std::is_invocable_v<F&, S&, Arguments...>;
template <class F, class... Arguments>
inline constexpr bool takes_first<void, F, Arguments...> = std::is_invocable_v<F&, Arguments...>;

/// Can items be mapped by F, with S as the state (void: none)?
template <bool with_result, class S, class F, class Item, class... Arguments>
consteval auto can_map() {
  if constexpr (std::is_member_object_pointer_v<F>) {
    return wire::Refused<wire::NotCallable<F>>{};
  } else if constexpr (is_method<F>) {
    using T = std::remove_cvref_t<Item>;
    if constexpr (!std::is_void_v<S> || !has_signature<F>) {
      return wire::Refused<wire::NotCallable<F>>{};
    } else if constexpr (!std::is_convertible_v<T*, typename SignatureOf<F>::Class*>) {
      return wire::Refused<wire::NotCallableWithItem<F, Item, Arguments...>>{};
    } else {
      return can_exchange<with_result, S, F, Item, Arguments...>();
    }
  } else if constexpr (has_signature<F>) {
    if constexpr (std::is_void_v<S>) {
      return can_exchange<with_result, S, F, Item, Arguments...>();
    } else if constexpr (SignatureOf<F>::Parameters::size == 0) {
      return wire::Refused<wire::StateNotFirst<S, F>>{};
    } else if constexpr (!std::is_convertible_v<
                             S&, typename ListTail<typename SignatureOf<F>::Parameters>::Head>) {
      return wire::Refused<wire::StateNotFirst<S, F>>{};
    } else {
      return can_exchange<with_result, S, F, Item, Arguments...>();
    }
  } else if constexpr ((wire::is_view<std::decay_t<Item>> || ... ||
                        wire::is_view<std::decay_t<Arguments>>)) {
    return wire::Refused<
        wire::ViewArgument<TypeList<std::decay_t<Item>, std::decay_t<Arguments>...>>>{};
  } else if constexpr (!takes_first<S, F, wire::GenericArgument<Item>,
                                    const wire::GenericArgument<Arguments>&...>) {
    return wire::Refused<wire::NotCallableWithItem<F, Item, Arguments...>>{};
  } else {
    return can_exchange<with_result, S, F, Item, Arguments...>();
  }
}

template <bool accepted, class S, class F, class Item, class... Arguments>
struct MapResult {
  using type = void;  // whoever maps says what is wrong
};
template <class S, class F, class Item, class... Arguments>
struct MapResult<true, S, F, Item, Arguments...> {
  using type = std::remove_cvref_t<typename MapShape<S, F, Item, Arguments...>::Result>;
};
template <class S, class F, class Item, class... Arguments>
using map_result_t =
    typename MapResult<can_map<false, S, F, Item, Arguments...>(), S, F, Item, Arguments...>::type;

// ---- How the callable gets there ------------------------------------------------------------------

/// By its address: the worker was forked while it was there, or shares this process's memory.
template <class F>
struct CarriedTarget {
  using Callable = F;
  static constexpr std::size_t size = sizeof(F*);
  static void write(std::byte* at, F& f) noexcept {
    F* const address = std::addressof(f);
    std::memcpy(at, &address, sizeof address);
  }
  static F& decode(wire::Reader& reader) {
    F* address = nullptr;
    reader.read(&address, sizeof address);
    return *address;
  }
};

/// Whether an F can be sent to a worker that was made before.
template <class F>
inline constexpr bool is_sent = static_cast<bool>(wire::can_carry<std::remove_const_t<F>>());

template <class F, bool sent>
struct TargetOf {
  using type = CarriedTarget<F>;
};
template <class F>
struct TargetOf<F, true> {
  using Plain = std::remove_const_t<F>;
  using type = std::conditional_t<std::is_member_pointer_v<Plain>, wire::BytesTarget<Plain>,
                                  wire::Target<Plain>>;
};
template <class F>
using MapTarget = typename TargetOf<F, is_sent<F>>::type;

/// What crosses of a callable. Throws Error for a null pointer.
template <class F>
void write_callable(wire::Buffer& buffer, F& f) {
  using TargetT = MapTarget<F>;
  using Plain = std::remove_const_t<F>;
  if constexpr (std::is_pointer_v<Plain> || std::is_member_pointer_v<Plain>)
    if (f == nullptr) wire::throw_null_callable();
  if constexpr (!requires { TargetT::size; }) {
    wire::encode(buffer, f);
  } else if constexpr (TargetT::size != 0) {
    if constexpr (wire::is_by_value<Plain>) {
      TargetT::write(buffer.grow(TargetT::size), f.callable);
    } else {
      TargetT::write(buffer.grow(TargetT::size), f);
    }
  }
}

}  // namespace apalis::detail::engine
