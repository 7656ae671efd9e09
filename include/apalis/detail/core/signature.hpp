// SPDX-License-Identifier: BSL-1.0
#pragma once

// Results and parameters of what can be called.
//
//   using S = SignatureOf<decltype(&Counter::add)>;   // int (Counter::*)(int)
//   // S::Result is int, S::Parameters is TypeList<int>, S::Class is Counter

#include <cstddef>
#include <type_traits>
#include <utility>

namespace apalis::detail {

template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

template <class R, class... P>
struct Signature {
  using Result = R;
  using Parameters = TypeList<P...>;
};

/// Signature of a function type, its cv, ref and noexcept qualifiers dropped; none for C variadics.
template <class Function>
struct FunctionSignature {};

template <class R, class... P>
struct FunctionSignature<R(P...)> : Signature<R, P...> {
  static constexpr bool on_rvalue = false;
};
template <class R, class... P>
struct FunctionSignature<R(P...) noexcept> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const noexcept> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...)&> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...)& noexcept> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const&> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const& noexcept> : FunctionSignature<R(P...)> {};
template <class R, class... P>
struct FunctionSignature<R(P...) &&> : Signature<R, P...> {
  static constexpr bool on_rvalue = true;
};
template <class R, class... P>
struct FunctionSignature<R(P...)&& noexcept> : FunctionSignature<R(P...) &&> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const&&> : FunctionSignature<R(P...) &&> {};
template <class R, class... P>
struct FunctionSignature<R(P...) const&& noexcept> : FunctionSignature<R(P...) &&> {};

/// Signature of a function pointer, a member function pointer or a function object whose call
/// operator is neither overloaded nor a template; has no Result for anything else.
template <class F>
struct SignatureOf {};

template <class Function>
  requires std::is_function_v<Function>
struct SignatureOf<Function*> : FunctionSignature<Function> {
  using Class = void;
};

template <class C, class Function>
  requires std::is_function_v<Function>
struct SignatureOf<Function C::*> : FunctionSignature<Function> {
  using Class = C;
};

template <class F>
  requires(std::is_class_v<F> && requires { &F::operator(); })
struct SignatureOf<F> : SignatureOf<decltype(&F::operator())> {};

/// Has one known signature: its parameters can be read off.
template <class F>
concept has_signature = requires {
  typename SignatureOf<F>::Result;
};

template <class List>
struct ListTail;
template <class First, class... Rest>
struct ListTail<TypeList<First, Rest...>> {
  using Head = First;
  using Tail = TypeList<Rest...>;
};

}  // namespace apalis::detail
