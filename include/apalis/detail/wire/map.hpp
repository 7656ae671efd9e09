// SPDX-License-Identifier: BSL-1.0
#pragma once

// One call of every object in a place: the callable and what is the same for all once, then what
// each has of its own.
//
// Message: [Entry*][callable][shared arguments] and, for each object, [its arguments].
// Reply: as that of a batch.

#include <apalis/detail/wire/batch.hpp>
#include <apalis/detail/wire/objects.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/each.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace apalis::detail::wire {

template <class T>
inline constexpr bool is_each = false;
template <class Range>
inline constexpr bool is_each<each_t<Range>> = true;

/// What one object is given of an argument of map().
template <class Argument>
struct MapArgument {
  using type = Argument;
};
template <class Argument>
  requires is_each<std::remove_cvref_t<Argument>>
struct MapArgument<Argument> {
  using type = decltype(*std::begin(std::declval<Argument&>().range));
};
template <class Argument>
using map_argument_t = typename MapArgument<Argument>::type;

/// Which parameters come from each().
template <bool... each>
struct EachMask {
  static constexpr bool any = (each || ...);
  static constexpr bool all = (each && ...);
};

template <class Mask, class Indices, class... P>
struct MapValues;
template <bool... each, std::size_t... i, class... P>
struct MapValues<EachMask<each...>, std::index_sequence<i...>, P...>
    : DecodedValue<i, Decoded<P>>... {
  // Braces keep the order of decoding and construct in place.
  MapValues([[maybe_unused]] Reader& shared, [[maybe_unused]] Reader& own)
      : DecodedValue<i, Decoded<P>>{decode<Decoded<P>>(each ? own : shared)}... {}

  template <class A, class F>
  decltype(auto) call(A& object, F& f) {
    return call_on(object, f, Handed<P>::from(DecodedValue<i, Decoded<P>>::value)...);
  }
};

/// Passes over the shared arguments.
template <class Mask, class... P>
struct SkipShared;
template <bool... each, class... P>
struct SkipShared<EachMask<each...>, P...> {
  template <class T, bool is_each>
  static void skip(Reader& reader) {
    if constexpr (!is_each) (void)decode<T>(reader);
  }
  static void skip_all([[maybe_unused]] Reader& reader) { (skip<Decoded<P>, each>(reader), ...); }
};

template <class A, class TargetT, class Mask, class Parameters>
struct MapThunk;
template <class A, class TargetT, class Mask, class... P>
struct MapThunk<A, TargetT, Mask, TypeList<P...>> {
  using Values = MapValues<Mask, std::index_sequence_for<P...>, P...>;

  static void invoke(void* place, Reader& args, Buffer& result) {
    const auto& objects = *static_cast<const Objects*>(place);
    const Reader encoded = args;
    auto first = TargetT::decode(args);
    const Reader shared = args;
    if constexpr (Mask::any && !Mask::all) SkipShared<Mask, P...>::skip_all(args);
    std::exception_ptr unreadable;  // what an object has of its own: so is all behind it
    for (std::uint32_t i = 0; i < objects.count; ++i) {
      write_outcome(result, CallName<TargetT>::text, [&] {
        if constexpr (Mask::any) {
          if (unreadable != nullptr) std::rethrow_exception(unreadable);
        }
        Values values = read(shared, args, unreadable);
        A& self = *static_cast<A*>(objects.at(i));
        // One with state may change it: each object's call starts with what was sent.
        Reader again = encoded;
        auto&& callable = callable_for_one(first, again);
        using R = decltype(values.call(self, callable));
        if constexpr (std::is_void_v<R>) {
          values.call(self, callable);
        } else {
          R&& returned = values.call(self, callable);
          encode<std::remove_cvref_t<R>>(result, returned);
        }
      });
    }
  }

 private:
  using Callable = typename TargetT::Callable;
  static decltype(auto) callable_for_one(Callable& first, [[maybe_unused]] Reader& encoded) {
    if constexpr (std::is_class_v<Callable> && !std::is_empty_v<Callable>) {
      return TargetT::decode(encoded);
    } else {
      return (first);
    }
  }

  static Values read(Reader same, Reader& own, std::exception_ptr& unreadable) {
    try {
      return Values(same, own);
    } catch (...) {
      unreadable = std::current_exception();
      throw;
    }
  }
};

template <class A, class TargetT, class Mask, class Parameters>
inline constexpr Entry map_entry{};
template <class A, class TargetT, class Mask, class... P>
inline constexpr Entry map_entry<A, TargetT, Mask, TypeList<P...>>{
    &MapThunk<A, TargetT, Mask, TypeList<P...>>::invoke, CallName<TargetT>::text,
    largest_encoded_alignment<Decoded<P>...>()};

template <class P, class Argument>
void encode_shared(Buffer& buffer, const Argument& argument) {
  if constexpr (!is_each<Argument>) encode_argument<P>(buffer, argument);
}

template <class A, class TargetT, class... P, class... Arguments>
void encode_map_message(Buffer& buffer, TypeList<P...> parameters,
                        [[maybe_unused]] const typename TargetT::Callable& callable,
                        const Arguments&... arguments) {
  using Mask = EachMask<is_each<Arguments>...>;
  const Entry* const address = &map_entry<A, TargetT, Mask, decltype(parameters)>;
  buffer.append(&address, sizeof address);
  if constexpr (!requires { TargetT::size; }) {
    encode(buffer, callable);
  } else if constexpr (TargetT::size != 0) {
    TargetT::write(buffer.grow(TargetT::size), callable);
  }
  (encode_shared<P>(buffer, arguments), ...);
}

// ---- The interface ------------------------------------------------------------------------------

template <class A, class F, class... Arguments>
using map_result_t = call_result_t<A, F, map_argument_t<const Arguments&>...>;

/// Appends what all objects share of a call of f on each of them.
template <class A, class F, class... Arguments>
void encode_map(Buffer& buffer, const F& f, const Arguments&... arguments) {
  constexpr auto verdict = can_send<A, Reply::result, F, map_argument_t<const Arguments&>...>();
  say(verdict);
  if constexpr (verdict) {
    using Parameters =
        typename CallShape<A, Callee<F>, map_argument_t<const Arguments&>...>::Parameters;
    with_target<F>(f, [&]<class TargetT>(Chosen<TargetT>, const auto& callable) {
      encode_map_message<A, TargetT>(buffer, Parameters{}, callable, arguments...);
    });
  }
}
template <class A, auto f, class... Arguments>
void encode_map_v(Buffer& buffer, const Arguments&... arguments) {
  using F = std::remove_const_t<decltype(f)>;
  constexpr auto verdict = can_call<true, A, F, map_argument_t<const Arguments&>...>();
  say(verdict);
  if constexpr (verdict) {
    using Parameters = typename CallShape<A, F, map_argument_t<const Arguments&>...>::Parameters;
    encode_map_message<A, ConstantTarget<f>>(buffer, Parameters{}, f, arguments...);
  }
}

/// A cursor over the arguments of map(): what the next object has of its own.
template <class Parameters, class... Arguments>
class EachCursor;
template <class... P, class... Arguments>
class EachCursor<TypeList<P...>, Arguments...> {
 public:
  explicit EachCursor(const Arguments&... arguments) : at_{begin(arguments)...} {}

  /// Appends the next object's, and moves on.
  void encode_next(Buffer& buffer) {
    encode_all(buffer, std::index_sequence_for<Arguments...>{});
  }
  void skip() {
    std::apply([](auto&... at) { (++at, ...); }, at_);
  }

 private:
  struct Nothing {
    void operator++() noexcept {}
  };
  template <class Argument>
  static auto begin([[maybe_unused]] const Argument& argument) {
    if constexpr (is_each<Argument>) {
      return std::begin(argument.range);
    } else {
      return Nothing{};
    }
  }
  template <std::size_t... i>
  void encode_all(Buffer& buffer, std::index_sequence<i...>) {
    (encode_one<P>(buffer, std::get<i>(at_)), ...);
    skip();
  }
  template <class Parameter, class At>
  static void encode_one([[maybe_unused]] Buffer& buffer, [[maybe_unused]] At& at) {
    if constexpr (!std::is_same_v<At, Nothing>) encode_argument<Parameter>(buffer, *at);
  }

  std::tuple<decltype(begin(std::declval<const Arguments&>()))...> at_;
};

}  // namespace apalis::detail::wire
