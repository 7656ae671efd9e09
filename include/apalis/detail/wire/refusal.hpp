// SPDX-License-Identifier: BSL-1.0
#pragma once

// The sentences for what can't cross, one class template each: instantiating it is the refusal,
// and the compiler prints the class with the type in question beside the sentence.
//
//   static_assert failed: apalis: a parameter can't be a pointer …
//   in instantiation of struct apalis::detail::wire::PointerParameter<int*>

#include <apalis/detail/core/signature.hpp>

namespace apalis::detail::wire {

template <class... T>
inline constexpr bool never = false;

// Questions are answered by one of these two. Asking says nothing yet, so that a question may be
// part of another, and the sentence is the only error.

struct Accepted {
  constexpr operator bool() const { return true; }  // NOLINT(google-explicit-constructor)
};
template <class Refusal>
struct Refused {
  constexpr operator bool() const { return false; }  // NOLINT(google-explicit-constructor)
};

constexpr void say(Accepted) {}
/// Ends the compilation with the sentence of what is refused.
template <class Refusal>
constexpr void say(Refused<Refusal>) {
  static_assert(sizeof(Refusal) != 0);
}

// What crosses.

template <class T>
struct NoSerialisation {
  static_assert(never<T>,
                "apalis: this type can't cross to another process: give it a cereal serialize "
                "function, or, if it is trivially copyable and holds no pointers, specialise "
                "apalis::trivially_sendable for it");
};
template <class T, class Field>
struct UnsendableField {
  static_assert(never<T>,
                "apalis: this aggregate can't cross as its bytes because of a field of the second "
                "type: pointers, references and views mean nothing in another process; give the "
                "aggregate a cereal serialize function or change the field");
};
template <class T>
struct OpaqueAggregate {
  static_assert(never<T>,
                "apalis: this aggregate can't cross because the library can't look into one with "
                "base classes, references or more than 40 fields: specialise "
                "apalis::trivially_sendable for it if it holds no pointers, or give it a cereal "
                "serialize function");
};
template <class T>
struct NoDefaultConstructor {
  static_assert(never<T>,
                "apalis: this type can be saved but not made anew: give it a default constructor "
                "or a cereal load_and_construct function");
};
template <class T>
struct ElementWithoutDefaultConstructor {
  static_assert(never<T>,
                "apalis: a container's elements must be default constructible to cross: give this "
                "type a default constructor, or hold it by std::unique_ptr");
};
template <class T>
struct Immovable {
  static_assert(never<T>,
                "apalis: a type that can be neither moved nor copied can't cross by value: what "
                "arrives is made first and then handed on; give it a move constructor, or hold it "
                "by std::unique_ptr");
};
template <class T>
struct PointerInside {
  static_assert(never<T>,
                "apalis: pointers can't cross, not as elements either: they mean nothing in "
                "another process; hold the values, or std::unique_ptr or std::shared_ptr");
};
template <class T>
struct ViewInside {
  static_assert(never<T>,
                "apalis: a view can't cross as an element or a field: what it looks at stays "
                "behind; hold std::string or std::vector instead");
};
template <class T>
struct AbstractValue {
  static_assert(never<T>,
                "apalis: an abstract class can't cross by value: use std::shared_ptr or "
                "std::unique_ptr to it, and CEREAL_REGISTER_TYPE for the classes derived from it");
};

template <class Pointer>
struct PolymorphicWithoutCereal {
  static_assert(never<Pointer>,
                "apalis: a pointer to a polymorphic class crosses by cereal's functions: include "
                "<cereal/types/polymorphic.hpp>, and use CEREAL_REGISTER_TYPE for the classes "
                "derived from it");
};

// Parameters.

template <class T>
struct MutableReferenceParameter {
  static_assert(never<T>,
                "apalis: a parameter can't be a non-const reference, because changes to it can't "
                "come back from another process: take it by value or by const reference and "
                "return the new value");
};
template <class T>
struct MutableSpanParameter {
  static_assert(never<T>,
                "apalis: a parameter can't be a span of non-const elements, because changes to "
                "them can't come back from another process: take std::span<const T> and return "
                "the new values, or pass an apalis::SharedArray, which all processes see");
};
template <class T>
struct SpanOfUnsendable {
  static_assert(never<T>,
                "apalis: a span parameter borrows the bytes of its elements from the message, so "
                "they must cross as bytes: take const std::vector<T>& instead, or specialise "
                "apalis::trivially_sendable for the element");
};
template <class T>
struct PointerParameter {
  static_assert(never<T>,
                "apalis: a parameter can't be a pointer, which means nothing in another process: "
                "take the value, std::string, std::string_view, std::span<const T> or a "
                "std::unique_ptr");
};
template <class T>
struct ViewArgument {
  static_assert(never<T>,
                "apalis: a view can't be passed to a generic callable, because what it looks at "
                "stays behind: declare the parameter's type (std::string_view or "
                "std::span<const T>, which borrow), or pass a std::string or std::vector");
};
template <class Argument, class Parameter>
struct NotConvertible {
  static_assert(never<Argument>,
                "apalis: an argument of the first type does not convert to a parameter of the "
                "second");
};
template <class Argument, class Parameter>
struct Sliced {
  static_assert(never<Argument>,
                "apalis: an argument of the first type would lose its derived part when it "
                "crosses as the second: take the parameter as std::shared_ptr or std::unique_ptr "
                "to the base class, and use CEREAL_REGISTER_TYPE");
};
template <class F, class Parameters, class... Arguments>
struct WrongNumberOfArguments {
  static_assert(never<F>,
                "apalis: the number of arguments is not the number of parameters of this callable "
                "(default arguments do not apply; the object is not counted)");
};

// Results.

template <class T>
struct MutableReferenceResult {
  static_assert(never<T>,
                "apalis: a result can't be a non-const reference, which would refer to something "
                "in the worker's process: return a value, or a const reference, which arrives as "
                "a value");
};
template <class T>
struct PointerResult {
  static_assert(never<T>,
                "apalis: a result can't be a pointer, which means nothing in another process: "
                "return the value, std::string, std::optional or std::unique_ptr");
};
template <class T>
struct ViewResult {
  static_assert(never<T>,
                "apalis: a result can't be a view, because what it looks at stays in the worker's "
                "process: return std::string or std::vector, or apalis::View, which sends the "
                "elements");
};

// Callables.

template <class F>
struct ClosureWithCaptures {
  static_assert(never<F>,
                "apalis: a callable with state (a closure with captures) can't be checked for "
                "hidden pointers: pass the state as arguments of the call, or say "
                "apalis::by_value(f) if it is trivially copyable and none of it points into this "
                "process, or write a function object with a cereal serialize function");
};
template <class F>
struct StdFunction {
  static_assert(never<F>,
                "apalis: a std::function hides what it holds and can't cross: pass the function "
                "or closure itself, its state as arguments of the call, or apalis::by_value(f)");
};
template <class F>
struct DataMemberPointer {
  static_assert(never<F>,
                "apalis: this is a pointer to a data member, which can't be called: use get() and "
                "set()");
};
template <class F>
struct NotCallable {
  static_assert(never<F>,
                "apalis: this can't be called in a worker: use a member function pointer, a "
                "function pointer, or a function object that takes the object first");
};
template <class A, class F>
struct NotAMemberOf {
  static_assert(never<F>,
                "apalis: this member pointer does not belong to the handler's class or a public "
                "and unambiguous base class of it");
};
template <class A, class F>
struct ObjectNotFirst {
  static_assert(never<F>,
                "apalis: a callable takes the handler's object as its first parameter, by "
                "reference");
};
template <class A, class F, class... Arguments>
struct NotCallableWith {
  static_assert(never<F>,
                "apalis: this generic callable can't be called with the object and these argument "
                "types (values arrive as rvalues: auto, const auto& and auto&& take them, auto& "
                "does not)");
};

// Attributes.

template <class A, class M>
struct NotADataMember {
  static_assert(never<A>,
                "apalis: get() and set() take a pointer to a data member: use call() for member "
                "functions");
};
template <class A, class M>
struct ArrayMember {
  static_assert(never<A>,
                "apalis: a C array can't be returned or assigned: make the member a std::array, "
                "or use call() with a closure");
};
template <class A, class M>
struct NotAssignable {
  static_assert(never<A>,
                "apalis: set() can't assign to a member of a type that is const or has "
                "no assignment");
};
template <class A>
struct NotCopyable {
  static_assert(never<A>,
                "apalis: copy() needs the handler's class to be copy constructible; call() a "
                "member function that returns what you want to know");
};
template <class A>
struct CopyWithoutSerialisation {
  static_assert(never<A>,
                "apalis: copy() sends the object back, so the handler's class must be able to "
                "cross: give it a cereal serialize function, or call() a member function that "
                "returns what you want to know");
};

}  // namespace apalis::detail::wire
