// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call as bytes: the address of the code that decodes and makes it, and what that code needs.
//
//   encode_call<Counter>(buffer, &Counter::add, 5);       // or encode_call_v<Counter,
//   &Counter::add> Reader message(buffer.bytes());                       // … in the worker:
//   read_entry(message)->invoke(&counter, message, result);
//   Reader reply(result.bytes());                         // … and back:
//   const int sum = decode<call_result_t<Counter, int (Counter::*)(int), int>>(reply);
//
// [const Entry*, 8 bytes][the callable, if it has any][the arguments]. Offsets, and so the
// alignment of borrowed spans, count from the Entry pointer: a Reader must start there.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/core/type_name.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/callable.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>

namespace apalis::detail::wire {

/// One constant for each kind of call; it lives in the image, so its address means the same in
/// every process forked from it.
struct Entry {
  /// Decodes the arguments, calls, appends the result. Lets every exception out.
  void (*invoke)(void* object, Reader& args, Buffer& result);
  std::string_view name;
  std::size_t alignment = 1;  ///< of the message's start, for its vectors and borrowed spans
};

inline const Entry* read_entry(Reader& message) {
  const Entry* entry;
  message.read(&entry, sizeof entry);
  return entry;
}

/// What becomes of the call's result.
enum class Reply {
  result,  // it is sent
  none,    // it is dropped
  copy     // the call edits a copy of the object, and the copy is sent
};

// ---- In the worker ------------------------------------------------------------------------------

template <std::size_t i, class T>
struct DecodedValue {
  T value;
};

template <class Indices, class... P>
struct DecodedValues;
template <std::size_t... i, class... P>
struct DecodedValues<std::index_sequence<i...>, P...> : DecodedValue<i, Decoded<P>>... {
  // Braces keep the order of decoding and construct in place.
  explicit DecodedValues([[maybe_unused]] Reader& reader)
      : DecodedValue<i, Decoded<P>>{decode<Decoded<P>>(reader)}... {}

  template <class A, class F>
  decltype(auto) call(A& object, F& f) {
    return call_on(object, f, Handed<P>::from(DecodedValue<i, Decoded<P>>::value)...);
  }
  /// Of a callable that takes no object.
  template <class F>
  decltype(auto) call(F& f) {
    return f(Handed<P>::from(DecodedValue<i, Decoded<P>>::value)...);
  }
};

/// `returned`: what the call gave, R or a reference to it. What a reference leads to may end with the
/// call, as an argument does.
template <class R, class Returned>
void encode_result(Buffer& result, Returned&& returned) {
  if constexpr (std::is_reference_v<R> || std::is_const_v<R>) {
    result.allow_attachments(false);
    encode<std::remove_cvref_t<R>>(result, returned);
  } else {
    encode_moved(result, std::forward<Returned>(returned));
  }
}

template <class A, class TargetT, Reply reply, class Parameters>
struct Thunk;
template <class A, class TargetT, Reply reply, class... P>
struct Thunk<A, TargetT, reply, TypeList<P...>> {
  static void invoke(void* object, Reader& args, Buffer& result) {
    A& self = *static_cast<A*>(object);
    auto callable = TargetT::decode(args);
    DecodedValues<std::index_sequence_for<P...>, P...> values(args);
    if constexpr (reply == Reply::none) {
      static_cast<void>(values.call(self, callable));
    } else if constexpr (reply == Reply::copy) {
      A copy(std::as_const(self));
      static_cast<void>(values.call(copy, callable));
      encode_moved(result, std::move(copy));
    } else {
      using R = decltype(values.call(self, callable));
      if constexpr (std::is_void_v<R>) {
        values.call(self, callable);
      } else {
        encode_result<R>(result, values.call(self, callable));
      }
    }
  }
};

// ---- Names --------------------------------------------------------------------------------------

template <class T>
inline constexpr std::string_view name_of_type = type_name<T>();
template <auto value>
inline constexpr std::string_view name_of_value = value_name<value>();
inline constexpr std::string_view name_gap = " ";
inline constexpr std::string_view name_open = "(";
inline constexpr std::string_view name_comma = ", ";
inline constexpr std::string_view name_close = ")";

template <class TargetT>
struct CallName {
  static constexpr std::string_view text = type_name<typename TargetT::Callable>();
};
template <auto f, class Parameters>
struct FunctionName;
template <auto f>
struct FunctionName<f, TypeList<>> {
  static constexpr std::string_view text =
      Joined<name_of_type<typename SignatureOf<decltype(f)>::Result>, name_gap, name_of_value<f>,
             name_open, name_close>::text;
};
template <auto f, class First, class... Rest>
struct FunctionName<f, TypeList<First, Rest...>> {
  template <class T>
  struct AfterComma {
    static constexpr std::string_view text = Joined<name_comma, name_of_type<T>>::text;
  };
  static constexpr std::string_view text =
      Joined<name_of_type<typename SignatureOf<decltype(f)>::Result>, name_gap, name_of_value<f>,
             name_open, name_of_type<First>, AfterComma<Rest>::text..., name_close>::text;
};
template <auto f>
  requires(std::is_pointer_v<decltype(f)> || std::is_member_pointer_v<decltype(f)>)
struct CallName<ConstantTarget<f>>
    : FunctionName<f, typename SignatureOf<decltype(f)>::Parameters> {};

template <class A, class TargetT, Reply reply, class Parameters>
inline constexpr Entry entry{};
template <class A, class TargetT, Reply reply, class... P>
inline constexpr Entry entry<A, TargetT, reply, TypeList<P...>>{
    &Thunk<A, TargetT, reply, TypeList<P...>>::invoke, CallName<TargetT>::text,
    largest_encoded_alignment<Decoded<P>...>()};

// ---- In the parent ------------------------------------------------------------------------------

template <class P, class Argument>
void encode_argument(Buffer& buffer, Argument&& argument) {
  with_converted<P>(std::forward<Argument>(argument), [&]<class Value>(Value&& value) {
    if constexpr (std::is_lvalue_reference_v<Value>) {
      encode(buffer, value);
    } else {
      encode_moved(buffer, std::move(value));
    }
  });
}

template <class P, class Argument>
std::byte* write_argument(std::byte* at, Argument&& argument) {
  with_converted<P>(std::forward<Argument>(argument), [&](const Decoded<P>& value) {
    std::memcpy(at, std::addressof(value), sizeof value);
  });
  return at + sizeof(Decoded<P>);
}

/// Entry, callable and arguments. With nothing but arguments of fixed size there is one check for
/// room and then stores. What stands in the buffer after an exception is for the caller to drop.
template <class A, class TargetT, Reply reply, class... P, class... Arguments>
void encode_message(Buffer& buffer, TypeList<P...> parameters,
                    [[maybe_unused]] const typename TargetT::Callable& callable,
                    Arguments&&... arguments) {
  const Entry* const address = &entry<A, TargetT, reply, decltype(parameters)>;
  if constexpr (!requires { TargetT::size; }) {
    buffer.append(&address, sizeof address);
    encode(buffer, callable);
    (encode_argument<P>(buffer, std::forward<Arguments>(arguments)), ...);
  } else {
    constexpr bool all_fixed = ((fixed_size<P> != 0) && ...);
    constexpr std::size_t size =
        sizeof address + TargetT::size + (all_fixed ? (fixed_size<P> + ... + 0) : 0);
    std::byte* at = buffer.grow(size);
    std::memcpy(at, &address, sizeof address);
    at += sizeof address;
    if constexpr (TargetT::size != 0) TargetT::write(at, callable);
    at += TargetT::size;
    if constexpr (all_fixed) {
      ((at = write_argument<P>(at, std::forward<Arguments>(arguments))), ...);
    } else {
      (encode_argument<P>(buffer, std::forward<Arguments>(arguments)), ...);
    }
  }
}

[[noreturn]] void throw_null_callable();

template <class A, Reply reply, class F, class... Arguments>
consteval auto can_send() {
  if constexpr (!can_carry<F>()) {
    return can_carry<F>();
  } else {
    return can_call<reply == Reply::result, A, Callee<F>, Arguments...>();
  }
}

template <class TargetT>
struct Chosen {};

/// Calls `use(Chosen<TargetT>{}, callable)` with the target that fits f's type and value.
template <class F, class Use>
void with_target(const F& f, Use use) {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>)
    if (f == nullptr) throw_null_callable();
  if constexpr (std::is_member_function_pointer_v<F>) {
    if (std::bit_cast<MemberPointerWords>(f)[1] == 0) {
      use(Chosen<MemberTarget<F>>{}, f);
    } else {
      use(Chosen<BytesTarget<F>>{}, f);
    }
  } else if constexpr (is_by_value<F>) {
    use(Chosen<Target<F>>{}, f.callable);
  } else {
    use(Chosen<Target<F>>{}, f);
  }
}

template <class A, Reply reply, class F, class... Arguments>
void encode_runtime(Buffer& buffer, const F& f, Arguments&&... arguments) {
  constexpr auto verdict = can_send<A, reply, F, Arguments...>();
  say(verdict);
  if constexpr (verdict) {
    using Parameters = typename CallShape<A, Callee<F>, Arguments...>::Parameters;
    with_target<F>(f, [&]<class TargetT>(Chosen<TargetT>, const auto& callable) {
      encode_message<A, TargetT, reply>(buffer, Parameters{}, callable,
                                        std::forward<Arguments>(arguments)...);
    });
  }
}

template <class A, Reply reply, auto f, class... Arguments>
void encode_constant(Buffer& buffer, Arguments&&... arguments) {
  using F = std::remove_const_t<decltype(f)>;
  constexpr auto verdict = can_call<reply == Reply::result, A, F, Arguments...>();
  say(verdict);
  if constexpr (verdict) {
    using Parameters = typename CallShape<A, F, Arguments...>::Parameters;
    encode_message<A, ConstantTarget<f>, reply>(buffer, Parameters{}, f,
                                                std::forward<Arguments>(arguments)...);
  }
}

template <class A, bool accepted, class F, class... Arguments>
struct ResultOf {
  using type = void;  // encode_call says what is wrong
};
template <class A, class F, class... Arguments>
struct ResultOf<A, true, F, Arguments...> {
  using type = std::remove_cvref_t<typename CallShape<A, F, Arguments...>::Result>;
};

// ---- The interface ------------------------------------------------------------------------------

/// What the call's Token holds.
template <class A, class F, class... Arguments>
using call_result_t =
    typename ResultOf<A, can_call<true, A, Callee<std::decay_t<F>>, Arguments...>(),
                      Callee<std::decay_t<F>>, Arguments...>::type;
template <class A, auto f, class... Arguments>
using call_result_v_t = call_result_t<A, decltype(f), Arguments...>;

/// Appends a call of f, on the object first and with the arguments converted to its parameters'
/// types. Throws what converting or a type's own functions throw; Error for a null f.
template <class A, class F, class... Arguments>
void encode_call(Buffer& buffer, F&& f, Arguments&&... arguments) {
  encode_runtime<A, Reply::result, std::decay_t<F>>(buffer, f,
                                                    std::forward<Arguments>(arguments)...);
}
template <class A, auto f, class... Arguments>
void encode_call_v(Buffer& buffer, Arguments&&... arguments) {
  encode_constant<A, Reply::result, f>(buffer, std::forward<Arguments>(arguments)...);
}

/// The same for a call whose result nobody will see; it need not be able to cross.
template <class A, class F, class... Arguments>
void encode_post(Buffer& buffer, F&& f, Arguments&&... arguments) {
  encode_runtime<A, Reply::none, std::decay_t<F>>(buffer, f, std::forward<Arguments>(arguments)...);
}
template <class A, auto f, class... Arguments>
void encode_post_v(Buffer& buffer, Arguments&&... arguments) {
  encode_constant<A, Reply::none, f>(buffer, std::forward<Arguments>(arguments)...);
}

/// Address of the code that a function pointer or a pointer to a non-virtual member function leads
/// to; null for everything else, whose code the Entry's address already vouches for.
template <class A, class F>
const void* code_address(const F& f) noexcept {
  if constexpr (is_function_pointer<F>) {
    return reinterpret_cast<const void*>(f);
  } else if constexpr (std::is_function_v<F>) {
    return reinterpret_cast<const void*>(&f);
  } else if constexpr (std::is_member_function_pointer_v<F>) {
    const auto words = std::bit_cast<MemberPointerWords>(f);
#if defined(__aarch64__) || defined(__arm__)
    const bool is_virtual = (words[1] & 1) != 0;  // ARM keeps the mark out of the code address
#else
    const bool is_virtual = (words[0] & 1) != 0;
#endif
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the ABI makes it an integer; nothing follows it
    return is_virtual ? nullptr : reinterpret_cast<const void*>(words[0]);
  } else {
    return nullptr;
  }
}

}  // namespace apalis::detail::wire
