// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call as a value: encoded, not sent.
//
//   auto call = h.prepare(&Counter::add, 2);     // Call<Counter, int>
//   std::vector calls(1000, call);
//   std::vector<int> sums = h.run(calls);        // one message there, one back

#include <apalis/detail/wire/buffer.hpp>
#include <cstdint>
#include <utility>

namespace apalis {

template <class A>
class Handler;
template <class A>
class GroupHandler;
template <class Self, class A>
class ObjectCalls;

namespace detail {
/// In place of an object's index, of a call to a handler's only one.
inline constexpr std::uint32_t no_object = ~std::uint32_t{0};
}  // namespace detail

/// A call to an object of type A that gives an R. The method is erased: calls of different methods
/// with one result type go into one batch.
///
/// **Owns** its encoded bytes; independent of the handler that prepared it, and may run many times.
/// **Threads:** as an int.
template <class A, class R>
class Call {
 public:
  Call(Call&&) noexcept = default;
  Call& operator=(Call&&) noexcept = default;
  Call(const Call& other) : object_(other.object_), code_(other.code_) {
    bytes_.append_all(other.bytes_);
  }
  Call& operator=(const Call& other) {
    if (this != &other) *this = Call(other);
    return *this;
  }
  ~Call() = default;

 private:
  friend class Handler<A>;
  friend class GroupHandler<A>;
  template <class Self, class B>
  friend class ObjectCalls;
  explicit Call(std::uint32_t object) noexcept : object_(object) {}

  detail::wire::Buffer bytes_;
  std::uint32_t object_;  // of a group, or no_object
  const void* code_ = nullptr;  // of a function pointer among them, to be checked against the fork
};

}  // namespace apalis
