// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can be done with an object in a worker, be it a handler's or one of a group.
//
//   apalis::Token<int> t = h.call(&Counter::add, 5);      // g[3].call(…)
//   h.post(&Counter::add, 1);
//   h.set(&Counter::total, 7);

#include <apalis/call.hpp>
#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/wire/attribute.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/options.hpp>
#include <apalis/token.hpp>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace apalis {

namespace detail {
template <class... Args>
inline constexpr bool starts_with_options = false;
template <class First, class... Rest>
inline constexpr bool starts_with_options<First, Rest...> =
    std::is_same_v<std::remove_cvref_t<First>, CallOptions>;

/// Every message starts with the address of its entry.
inline const wire::Entry* check_entry(const actor::Link& link, const std::byte* message) {
  const wire::Entry* entry = nullptr;
  std::memcpy(&entry, message, sizeof entry);
  link.check_code(entry);
  return entry;
}
}  // namespace detail

/// The verbs of Handler<A> and of a group's objects; Self is one of them.
///
/// All of them are const, as with a pointer: what changes is the object.
/// **Threads:** any number at once.
/// **Blocks:** never for a call, but while the buffers are full (about 2000 small calls, 256 KiB; with
/// a larger one, until the worker has read most of it), taking replies in meanwhile.
/// **Ordering:** one FIFO per object and submitting thread of call, post, get, set, copy.
template <class Self, class A>
class ObjectCalls {
 public:
  // --- Calls -------------------------------------------------------------------------------------

  /// Calls a member function, or anything that takes the object first: callable(A&, args...).
  template <class F, class... Args>
    requires(!detail::starts_with_options<F>)
  auto call(F&& callable, Args&&... args) const {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_call<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    return submit<R>(link, message, CallOptions{});
  }

  /// The same with a limit on its time, or leave to run it again.
  template <class F, class... Args>
  auto call(const CallOptions& options, F&& callable, Args&&... args) const {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_call<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    return submit<R>(link, message, options);
  }

  /// The same with the member function bound at compile time: less to send, faster to run.
  template <auto Method, class... Args>
    requires(!detail::starts_with_options<Args...>)
  auto call(Args&&... args) const {
    using R = detail::wire::call_result_v_t<A, Method, Args...>;
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_call_v<A, Method>(message, std::forward<Args>(args)...);
    return submit<R>(link, message, CallOptions{});
  }

  template <auto Method, class... Args>
  auto call(const CallOptions& options, Args&&... args) const {
    using R = detail::wire::call_result_v_t<A, Method, Args...>;
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_call_v<A, Method>(message, std::forward<Args>(args)...);
    return submit<R>(link, message, options);
  }

  /// One-way: the result is dropped; the first failure and their count surface at drain().
  template <class F, class... Args>
  void post(F&& callable, Args&&... args) const {
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_post<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    post_message(link, message);
  }

  template <auto Method, class... Args>
  void post(Args&&... args) const {
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_post_v<A, Method>(message, std::forward<Args>(args)...);
    post_message(link, message);
  }

  // --- Attributes --------------------------------------------------------------------------------

  /// A data member's value.
  template <class M, class B>
  auto get(M B::*member) const {
    using R = detail::wire::get_result_t<A, M B::*>;
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_get<A>(message, member);
    return submit<R>(link, message, CallOptions{});
  }

  /// Assigns a data member; one-way.
  template <class M, class B>
  void set(M B::*member, const std::type_identity_t<M>& value) const {
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_set<A>(message, member, value);
    post_message(link, message);
  }

  /// A copy of the whole object.
  [[nodiscard]] Token<A> copy() const {
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    detail::wire::encode_copy<A>(message);
    return submit<A>(link, message, CallOptions{});
  }

  /// A copy on which the worker has run edit(copy, args...) first. The object stays as it is.
  template <class F, class... Args>
  [[nodiscard]] Token<A> copy(F&& edit, Args&&... args) const {
    auto& link = self().link();
    detail::wire::Buffer message{link.takes_attachments()};
    link.check_code(detail::wire::code_address<A>(edit));
    detail::wire::encode_copy<A>(message, std::forward<F>(edit), std::forward<Args>(args)...);
    return submit<A>(link, message, CallOptions{});
  }

  /// Encodes a call without sending it.
  template <class F, class... Args>
  [[nodiscard]] auto prepare(F&& callable, Args&&... args) const {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    Call<A, R> call{self().object_index()};
    call.code_ = detail::wire::code_address<A>(callable);
    detail::wire::encode_call<A>(call.bytes_, std::forward<F>(callable),
                                 std::forward<Args>(args)...);
    return call;
  }

  template <auto Method, class... Args>
  [[nodiscard]] auto prepare(Args&&... args) const {
    Call<A, detail::wire::call_result_v_t<A, Method, Args...>> call{self().object_index()};
    detail::wire::encode_call_v<A, Method>(call.bytes_, std::forward<Args>(args)...);
    return call;
  }

 protected:
  ObjectCalls() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  template <class R>
  Token<R> submit(detail::actor::Link& link, detail::wire::Buffer& message,
                  const CallOptions& options) const {
    const auto* entry = detail::check_entry(link, message.data());
    self().address(message);
    auto state = std::make_unique<detail::actor::ReplyState<R>>();
    state->entry = entry;
    state->timeout = options.timeout;
    state->retries = options.retries;
    state->attach(link);
    link.submit(message, *state);
    return detail::actor::TokenAccess::make<R>(state.release());
  }

  void post_message(detail::actor::Link& link, detail::wire::Buffer& message) const {
    detail::check_entry(link, message.data());
    self().address(message);
    link.post(message);
  }
};

}  // namespace apalis
