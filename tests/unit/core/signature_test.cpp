// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/core/signature.hpp>
#include <functional>
#include <string>
#include <type_traits>

#include "support/catch.hpp"

using namespace apalis::detail;

namespace {

struct A {};

template <class F, class R, class... P>
constexpr bool reads_as = std::is_same_v<typename SignatureOf<F>::Result, R>&&
    std::is_same_v<typename SignatureOf<F>::Parameters, TypeList<P...>>;

// Every qualifier of a member function.
static_assert(reads_as<int (A::*)(char, double), int, char, double>);
static_assert(reads_as<int (A::*)(char) const, int, char>);
static_assert(reads_as<int (A::*)(char) noexcept, int, char>);
static_assert(reads_as<int (A::*)(char) const noexcept, int, char>);
static_assert(reads_as<int (A::*)(char) &, int, char>);
static_assert(reads_as<int (A::*)(char) & noexcept, int, char>);
static_assert(reads_as<int (A::*)(char) const&, int, char>);
static_assert(reads_as<int (A::*)(char) const& noexcept, int, char>);
static_assert(reads_as<int (A::*)(char) &&, int, char>);
static_assert(reads_as<int (A::*)(char) && noexcept, int, char>);
static_assert(reads_as<int (A::*)(char) const&&, int, char>);
static_assert(reads_as<int (A::*)(char) const&& noexcept, int, char>);

// What has to be called on an rvalue.
static_assert(!SignatureOf<void (A::*)()>::on_rvalue);
static_assert(!SignatureOf<void (A::*)() const&>::on_rvalue);
static_assert(SignatureOf<void (A::*)() &&>::on_rvalue);
static_assert(SignatureOf<void (A::*)() const&& noexcept>::on_rvalue);

static_assert(std::is_same_v<SignatureOf<void (A::*)()>::Class, A>);

// References and cv-qualified results stay what they are.
static_assert(reads_as<const std::string& (A::*)(const std::string&, std::string&&),
                       const std::string&, const std::string&, std::string&&>);

// Function pointers and function objects.
static_assert(reads_as<void (*)(A&, int), void, A&, int>);
static_assert(reads_as<void (*)(A&) noexcept, void, A&>);
static_assert(reads_as<std::function<int(A&, long)>, int, A&, long>);
constexpr auto closure = [](A&, int x) { return x; };
static_assert(reads_as<std::remove_const_t<decltype(closure)>, int, A&, int>);
constexpr auto changing = [](A&, int x) mutable noexcept { return x; };
static_assert(reads_as<std::remove_const_t<decltype(changing)>, int, A&, int>);

// What has none.
constexpr auto generic = [](auto&) {};
struct Overloaded {
  void operator()(A&);
  void operator()(A&, int);
};
static_assert(!has_signature<std::remove_const_t<decltype(generic)>>);
static_assert(!has_signature<Overloaded>);
static_assert(!has_signature<int>);
static_assert(!has_signature<int A::*>);
static_assert(!has_signature<int (A::*)(const char*, ...)>);
static_assert(!has_signature<int (*)(const char*, ...)>);
static_assert(has_signature<int (*)(A&)>);

static_assert(std::is_same_v<ListTail<TypeList<int, char, long>>::Head, int>);
static_assert(std::is_same_v<ListTail<TypeList<int, char, long>>::Tail, TypeList<char, long>>);
static_assert(TypeList<>::size == 0 && TypeList<int, int>::size == 2);

}  // namespace

TEST_CASE("signatures are read off every callable that has one", "[core]") {
  SUCCEED("checked by the compiler");
}
