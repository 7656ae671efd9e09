// SPDX-License-Identifier: BSL-1.0
#pragma once

// A task in a worker: which callables can be one, and what decodes and calls them.
//
// Message: [Entry*][BatchHeader][callable][arguments]. Reply: [ReplyHeader][result or failure].

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/engine/map_shape.hpp>
#include <apalis/detail/engine/map_thunk.hpp>
#include <apalis/detail/engine/run.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <apalis/detail/wire/callable.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/refusal.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <string_view>
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

template <class R, class TargetT, class Parameters>
struct TaskThunk;
template <class R, class TargetT, class... P>
struct TaskThunk<R, TargetT, TypeList<P...>> {
  static constexpr std::string_view name = wire::CallName<TargetT>::text;

  /// use(result), or use() where there is none. `message` stands behind the header.
  template <class Use>
  static void call(wire::Reader& message, Use use) {
    decltype(auto) callable = TargetT::decode(message);
    wire::DecodedValues<std::index_sequence_for<P...>, P...> values(message);
    if constexpr (std::is_void_v<R>) {
      static_cast<void>(values.call(callable));
      use();
    } else {
      use(static_cast<R>(values.call(callable)));
    }
  }

  static void invoke(void* /*seat*/, wire::Reader& message, wire::Buffer& result) {
    BatchHeader header;
    message.read(&header, sizeof header);
    const InsideBatch inside;
    result.allow_attachments(false);
    const BatchClock clock{result};
    const std::size_t good = result.size();
    bool failed = false;
    try {
      call(message, [&](const auto&... returned) {
        if constexpr (!std::is_void_v<R>) wire::encode<R>(result, returned...);
      });
    } catch (...) {
      failed = true;
      result.truncate(good);
      clock.end(result, 0, true, name);
    }
    if (!failed) clock.end(result, 1, false, name);
  }

  /// The arguments, behind the callable.
  template <class... Arguments>
  static void write(wire::Buffer& message, Arguments&&... arguments) {
    (wire::encode_argument<P>(message, std::forward<Arguments>(arguments)), ...);
  }

  inline static constexpr wire::Entry entry{&invoke, name,
                                            wire::largest_encoded_alignment<wire::Decoded<P>...>()};
};

}  // namespace apalis::detail::engine
