// SPDX-License-Identifier: BSL-1.0
#pragma once

// The calls behind get(), set() and copy(): like thunk.hpp's, without a callable of the user's.
//
//   encode_get<Counter>(buffer, &Counter::total);      // replies with the member
//   encode_set<Counter>(buffer, &Counter::total, 7);   // replies with nothing
//   encode_copy<Counter>(buffer);                      // replies with the object

#include <concepts>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include <apalis/detail/wire/thunk.hpp>

namespace apalis::detail::wire {

template <class A, class M, class B>
struct GetThunk {
  static void invoke(void* object, Reader& args, Buffer& result) {
    M B::*member;
    args.read(&member, sizeof member);
    encode<std::remove_cv_t<M>>(result, static_cast<A*>(object)->*member);
  }
};

template <class A, class M, class B>
struct SetThunk {
  static void invoke(void* object, Reader& args, Buffer&) {
    M B::*member;
    args.read(&member, sizeof member);
    static_cast<A*>(object)->*member = decode<M>(args);
  }
};

template <class A>
struct CopyThunk {
  static void invoke(void* object, Reader&, Buffer& result) {
    encode<A>(result, *static_cast<const A*>(object));
  }
};

inline constexpr std::string_view name_of_get = "get ";
inline constexpr std::string_view name_of_set = "set ";
inline constexpr std::string_view name_of_copy = "copy of ";

template <class A, class M, class B>
inline constexpr Entry get_entry{&GetThunk<A, M, B>::invoke,
                                 Joined<name_of_get, name_of_type<M B::*>>::text};
template <class A, class M, class B>
inline constexpr Entry set_entry{&SetThunk<A, M, B>::invoke,
                                 Joined<name_of_set, name_of_type<M B::*>>::text,
                                 encoded_alignment<M>()};
template <class A>
inline constexpr Entry copy_entry{&CopyThunk<A>::invoke,
                                  Joined<name_of_copy, name_of_type<A>>::text};

template <class A, class M, class B>
consteval auto is_attribute() {
  if constexpr (std::is_function_v<M>) {
    return Refused<NotADataMember<A, M B::*>>{};
  } else if constexpr (!std::is_convertible_v<A*, B*>) {
    return Refused<NotAMemberOf<A, M B::*>>{};
  } else if constexpr (std::is_array_v<M>) {
    return Refused<ArrayMember<A, M>>{};
  } else {
    return Accepted{};
  }
}

template <class A, class M, class B>
consteval auto can_get() {
  if constexpr (!is_attribute<A, M, B>()) {
    return is_attribute<A, M, B>();
  } else {
    return can_be_result<std::remove_cv_t<M>>();
  }
}

template <class A, class M, class B>
consteval auto can_set() {
  if constexpr (!is_attribute<A, M, B>()) {
    return is_attribute<A, M, B>();
  } else if constexpr (!std::is_assignable_v<M&, M>) {
    return Refused<NotAssignable<A, M>>{};
  } else if constexpr (is_pointer_like<M>) {
    return Refused<PointerParameter<M>>{};
  } else {
    return can_cross<M>();
  }
}

template <class A>
consteval auto can_copy() {
  if constexpr (!std::copy_constructible<A>) {
    return Refused<NotCopyable<A>>{};
  } else if constexpr (!sendable<A>) {
    return Refused<CopyWithoutSerialisation<A>>{};
  } else {
    return Accepted{};
  }
}

template <class A, bool accepted, class M>
struct GetResultOf {
  using type = void;  // encode_get says what is wrong
};
template <class A, class M>
struct GetResultOf<A, true, M> {
  using type = std::remove_cv_t<M>;
};

template <class A, class Member>
struct GetResult;
template <class A, class M, class B>
struct GetResult<A, M B::*> : GetResultOf<A, can_get<A, M, B>(), M> {};

/// What the Token of a get() holds; Member is a pointer to a data member.
template <class A, class Member>
using get_result_t = typename GetResult<A, Member>::type;

template <class B, class M>
void encode_member(Buffer& buffer, const Entry* entry, M B::*member) {
  if (member == nullptr) throw_null_callable();
  std::byte* const at = buffer.grow(sizeof entry + sizeof member);
  std::memcpy(at, &entry, sizeof entry);
  std::memcpy(at + sizeof entry, &member, sizeof member);
}

template <class A, class M, class B>
void encode_get(Buffer& buffer, M B::*member) {
  constexpr auto verdict = can_get<A, M, B>();
  say(verdict);
  if constexpr (verdict) encode_member(buffer, &get_entry<A, M, B>, member);
}

template <class A, class M, class B>
void encode_set(Buffer& buffer, M B::*member, const std::type_identity_t<M>& value) {
  constexpr auto verdict = can_set<A, M, B>();
  say(verdict);
  if constexpr (verdict) {
    encode_member(buffer, &set_entry<A, M, B>, member);
    encode(buffer, value);
  }
}

template <class A>
void encode_copy(Buffer& buffer) {
  constexpr auto verdict = can_copy<A>();
  say(verdict);
  if constexpr (verdict) {
    const Entry* const address = &copy_entry<A>;
    buffer.append(&address, sizeof address);
  }
}

/// The worker copies its object, applies edit(copy, arguments…) and replies with the copy.
template <class A, class F, class... Arguments>
void encode_copy(Buffer& buffer, F&& edit, Arguments&&... arguments) {
  constexpr auto verdict = can_copy<A>();
  say(verdict);
  if constexpr (verdict)
    encode_runtime<A, Reply::copy, std::decay_t<F>>(buffer, edit,
                                                    std::forward<Arguments>(arguments)...);
}

}  // namespace apalis::detail::wire
