// SPDX-License-Identifier: BSL-1.0
#pragma once

// A task in a worker: which callables can be one, and what decodes and calls them.
//
// Message: [Entry*][BatchHeader][callable][arguments]. Reply: [ReplyHeader][result or failure].

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/actor/steps.hpp>
#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_shape.hpp>
#include <apalis/detail/engine/map_thunk.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <apalis/detail/wire/callable.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/refusal.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace apalis::detail::wire {

template <class F>
struct NotATask {
  static_assert(never<F>,
                "apalis: this can't be run as a task: use a function, a closure or a function "
                "object (a member function: call it in a closure that takes the object)");
};
template <class F, class... Arguments>
struct TaskNotCallableWith {
  static_assert(never<F>,
                "apalis: this callable can't be called with these arguments (they arrive as "
                "rvalues: auto, const auto& and auto&& take them, auto& does not)");
};
template <class Returned, class R>
struct TaskResultNotConvertible {
  static_assert(never<R>,
                "apalis: what this callable returns, the first type, does not convert to the R of "
                "its TaskGroup<R>, the second");
};

}  // namespace apalis::detail::wire

namespace apalis::detail::engine {

template <class F, class... Arguments>
struct TaskShape {  // generic: told by what it is given
  using Parameters = TypeList<wire::GenericArgument<Arguments>...>;
  using Returned = std::invoke_result_t<F&, wire::GenericArgument<Arguments>...>;
};
template <class F, class... Arguments>
  requires has_signature<F>
struct TaskShape<F, Arguments...> {
  using Parameters =
      typename wire::Crossing<typename SignatureOf<F>::Parameters, TypeList<Arguments...>>::type;
  using Returned = typename SignatureOf<F>::Result;
};

template <class R, class F, class... Arguments>
consteval auto can_exchange_task() {
  using Shape = TaskShape<F, Arguments...>;
  using Parameters = typename Shape::Parameters;
  using Returned = typename Shape::Returned;
  if constexpr (Parameters::size != sizeof...(Arguments)) {
    return wire::Refused<wire::WrongNumberOfArguments<F, Parameters, Arguments...>>{};
  } else if constexpr (!wire::can_all_be_passed(Parameters{}, TypeList<Arguments...>{})) {
    return wire::can_all_be_passed(Parameters{}, TypeList<Arguments...>{});
  } else if constexpr (std::is_void_v<R>) {
    return wire::Accepted{};
  } else if constexpr (!std::is_convertible_v<Returned, R>) {
    return wire::Refused<wire::TaskResultNotConvertible<Returned, R>>{};
  } else {
    return wire::can_be_result<R>();
  }
}

/// Can a group with results R run f(arguments...), wherever that is?
template <class R, class F, class... Arguments>
consteval auto can_run() {
  if constexpr (!wire::is_function_pointer<F> && !std::is_class_v<F>) {
    return wire::Refused<wire::NotATask<F>>{};
  } else if constexpr (has_signature<F>) {
    return can_exchange_task<R, F, Arguments...>();
  } else if constexpr ((wire::is_view<std::decay_t<Arguments>> || ...)) {
    return wire::Refused<wire::ViewArgument<TypeList<std::decay_t<Arguments>...>>>{};
  } else if constexpr (!std::is_invocable_v<F&, wire::GenericArgument<Arguments>...>) {
    return wire::Refused<wire::TaskNotCallableWith<F, wire::GenericArgument<Arguments>...>>{};
  } else {
    return can_exchange_task<R, F, Arguments...>();
  }
}

/// Can a group with results R run f(arguments...) where both are made a string by other means?
template <class R, class F, class... Arguments>
consteval auto can_run_as_text() {
  if constexpr (!wire::is_function_pointer<F> && !std::is_class_v<F>) {
    return wire::Refused<wire::NotATask<F>>{};
  } else if constexpr (has_signature<F>) {
    using Shape = TaskShape<F, Arguments...>;
    if constexpr (Shape::Parameters::size != sizeof...(Arguments)) {
      return wire::Refused<
          wire::WrongNumberOfArguments<F, typename Shape::Parameters, Arguments...>>{};
    } else if constexpr (!std::is_void_v<R> &&
                         !std::is_convertible_v<typename Shape::Returned, R>) {
      return wire::Refused<wire::TaskResultNotConvertible<typename Shape::Returned, R>>{};
    } else {
      return wire::Accepted{};
    }
  } else if constexpr (!std::is_invocable_v<F&, wire::GenericArgument<Arguments>...>) {
    return wire::Refused<wire::TaskNotCallableWith<F, wire::GenericArgument<Arguments>...>>{};
  } else if constexpr (!std::is_void_v<R> &&
                       !std::is_convertible_v<typename TaskShape<F, Arguments...>::Returned, R>) {
    return wire::Refused<
        wire::TaskResultNotConvertible<typename TaskShape<F, Arguments...>::Returned, R>>{};
  } else {
    return wire::Accepted{};
  }
}

/// Arguments and result as everywhere in the library.
template <class Parameters>
struct WireCodec;
template <class... P>
struct WireCodec<TypeList<P...>> {
  static constexpr bool is_wire = true;
  using Values = wire::DecodedValues<std::index_sequence_for<P...>, P...>;
  static constexpr std::size_t alignment = wire::largest_encoded_alignment<wire::Decoded<P>...>();

  template <class... Arguments>
  static void write(wire::Buffer& message, Arguments&&... arguments) {
    (wire::encode_argument<P>(message, std::forward<Arguments>(arguments)), ...);
  }
  template <class R>
  static void encode(wire::Buffer& result, const R& returned) {
    wire::encode<R>(result, returned);
  }
  template <class R>
  static R decode(wire::Reader& result) {
    return wire::decode<R>(result);
  }
};

/// By a Format of the user's choice, which makes strings of values.
template <class Format, class Parameters>
struct TextCodec;
template <class Format, class... P>
struct TextCodec<Format, TypeList<P...>> {
  static_assert((!wire::is_view<std::remove_cvref_t<P>> && ...),
                "apalis: with a serialization of its own a task can't take views: take the "
                "std::string or std::vector itself, by const reference");
  static constexpr bool is_wire = false;

  class Values {
   public:
    explicit Values(wire::Reader& message)
        : values_(Format::template load<std::remove_cvref_t<P>...>(
              wire::decode<std::string>(message))) {}
    template <class F>
    decltype(auto) call(F& f) {
      return std::apply(
          [&](auto&... value) -> decltype(auto) { return f(static_cast<P&&>(value)...); },
          values_);
    }

   private:
    std::tuple<std::remove_cvref_t<P>...> values_;
  };
  static constexpr std::size_t alignment = 1;

  template <class... Arguments>
  static void write(wire::Buffer& message, Arguments&&... arguments) {
    wire::encode<std::string>(message, Format::template save<std::remove_cvref_t<P>...>(
                                           std::forward<Arguments>(arguments)...));
  }
  template <class R>
  static void encode(wire::Buffer& result, const R& returned) {
    wire::encode<std::string>(result, Format::template save<R>(returned));
  }
  template <class R>
  static R decode(wire::Reader& result) {
    return std::get<0>(Format::template load<R>(wire::decode<std::string>(result)));
  }
};

template <class R, class TargetT, class Codec>
struct TaskThunk {
  static constexpr std::string_view name = wire::CallName<TargetT>::text;

  /// use(result), or use() where there is none. `message` stands behind the header.
  template <class Use>
  static void call(wire::Reader& message, Use use) {
    decltype(auto) callable = TargetT::decode(message);
    typename Codec::Values values(message);
    if constexpr (std::is_void_v<R>) {
      static_cast<void>(values.call(callable));
      use();
    } else {
      use(static_cast<R>(values.call(callable)));
    }
  }

  static void invoke(void* seat, wire::Reader& message, wire::Buffer& result) {
    BatchHeader header;
    message.read(&header, sizeof header);
    const InsideBatch inside;
    result.allow_attachments(false);
    const BatchClock clock{*static_cast<Seat*>(seat), result};
    const std::size_t good = result.size();
    (void)actor::Steps{}.begin(0);  // should the worker die, it is known that this had begun
    try {
      call(message, [&](const auto&... returned) {
        if constexpr (!std::is_void_v<R>) Codec::template encode<R>(result, returned...);
      });
    } catch (...) {
      result.truncate(good);
      clock.end(result, 0, true, name);
      return;
    }
    clock.end(result, 1, false, name);
  }

  inline static constexpr wire::Entry entry{&invoke, name, Codec::alignment};
};

}  // namespace apalis::detail::engine
