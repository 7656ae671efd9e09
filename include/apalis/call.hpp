// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call as a value: encoded, not sent.
//
//   auto call = h.prepare(&Counter::add, 2);     // Call<Counter, int>
//   std::vector calls(1000, call);
//   std::vector<int> sums = h.run(calls);        // one message there, one back

#include <apalis/detail/wire/buffer.hpp>
#include <utility>

namespace apalis {

template <class A>
class Handler;

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
  Call(const Call& other) : code_(other.code_) {
    bytes_.append(other.bytes_.data(), other.bytes_.size());
  }
  Call& operator=(const Call& other) {
    if (this != &other) *this = Call(other);
    return *this;
  }
  ~Call() = default;

 private:
  friend class Handler<A>;
  Call() = default;

  detail::wire::Buffer bytes_;
  const void* code_ = nullptr;  // of a function pointer among them, to be checked against the fork
};

}  // namespace apalis
