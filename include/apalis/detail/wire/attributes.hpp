// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls that read, write or copy the object itself: get, set, copy.

#include <apalis/detail/wire/thunk.hpp>
#include <concepts>

namespace apalis::detail::wire {

template <class A, class M, class B>
void invoke_get(void* object, Reader& reader, Buffer& result) {
  M B::*member;
  reader.read(&member, sizeof member);
  wire::encode<std::remove_cv_t<M>>(result, static_cast<A*>(object)->*member);
}

template <class A, class M, class B>
void invoke_set(void* object, Reader& reader, Buffer& /*result*/) {
  M B::*member;
  reader.read(&member, sizeof member);
  static_cast<A*>(object)->*member = wire::decode<M>(reader);
}

template <class A>
void invoke_copy(void* object, Reader& /*reader*/, Buffer& result) {
  wire::encode<A>(result, *static_cast<const A*>(object));
}

template <class A, class F, class List, bool plain>
void invoke_edited_copy(void* object, Reader& reader, Buffer& result) {
  A copy(*static_cast<const A*>(object));
  invoke_thunk<A, F, List, plain, true>(&copy, reader, result);
  wire::encode<A>(result, copy);
}

template <class A, class M, class B>
inline constexpr Entry get_entry{&invoke_get<A, M, B>, "get of a data member", 1};
template <class A, class M, class B>
inline constexpr Entry set_entry{&invoke_set<A, M, B>, "set of a data member",
                                 encoded_alignment<M>()};
template <class A>
inline constexpr Entry copy_entry{&invoke_copy<A>, "copy", 1};
template <class A, class F, class List, bool plain>
inline constexpr Entry edited_copy_entry{&invoke_edited_copy<A, F, List, plain>,
                                         "copy with an edit", alignment_of_arguments(List{})};

template <bool aloud, class A, class M>
consteval bool can_get() {
  if constexpr (std::is_array_v<M>) {
    return refuse<aloud, ArrayMember<A, M>>();
  } else {
    return can_be_result<aloud, std::remove_cv_t<M>>();
  }
}

template <bool aloud, class A, class M>
consteval bool can_set() {
  if constexpr (std::is_array_v<M>) {
    return refuse<aloud, ArrayMember<A, M>>();
  } else if constexpr (std::is_const_v<M> || !std::is_move_assignable_v<M>) {
    return refuse<aloud, NotAssignable<A, M>>();
  } else if constexpr (is_pointer_like<M>) {
    return refuse<aloud, PointerParameter<M>>();
  } else {
    return can_cross<aloud, M>();
  }
}

template <bool aloud, class A>
consteval bool can_copy() {
  if constexpr (!sendable_value<A>) {
    return refuse<aloud, CopyWithoutSerialisation<A>>();
  } else {
    return true;
  }
}

/// A data member's type as it arrives; void where it can't.
template <class A, class M, class B>
using get_result_t = std::conditional_t<can_get<false, A, M>(), std::remove_cv_t<M>, void>;

template <class A, class M, class B>
void encode_get(Buffer& buffer, M B::*member) {
  if constexpr (can_get<true, A, M>()) {
    encode_entry(buffer, get_entry<A, M, B>);
    buffer.append(&member, sizeof member);
  }
}

template <class A, class M, class B>
void encode_set(Buffer& buffer, M B::*member, const std::type_identity_t<M>& value) {
  if constexpr (can_set<true, A, M>()) {
    encode_entry(buffer, set_entry<A, M, B>);
    buffer.append(&member, sizeof member);
    wire::encode<M>(buffer, value);
  }
}

template <class A>
void encode_copy(Buffer& buffer) {
  if constexpr (can_copy<true, A>()) encode_entry(buffer, copy_entry<A>);
}

/// The worker copies the object, runs edit(copy, args...) and sends the copy.
template <class A, class F, class... Args>
void encode_copy(Buffer& buffer, const F& edit, Args&&... args) {
  using G = std::decay_t<F>;
  if constexpr (!std::copy_constructible<A>) {
    refuse<true, NotCopyable<A>>();
  } else if constexpr (can_copy<true, A>() && can_call<true, true, A, G, Args...>()) {
    using List = typename Shape<A, G, Args...>::Parameters;
    const G callable = edit;
    if (CallableForm<G>::is_plain(callable)) {
      encode_entry(buffer, edited_copy_entry<A, G, List, true>);
      CallableForm<G>::template encode<true>(buffer, callable);
    } else {
      encode_entry(buffer, edited_copy_entry<A, G, List, false>);
      CallableForm<G>::template encode<false>(buffer, callable);
    }
    encode_arguments(buffer, List{}, std::forward<Args>(args)...);
  }
}

}  // namespace apalis::detail::wire
