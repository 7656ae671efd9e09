// SPDX-License-Identifier: BSL-1.0
#pragma once

// One object in a process of its own.
//
//   struct Counter { int total = 0; int add(int x) { return total += x; } };
//
//   apalis::Handler<Counter> h;                               // forks; the child has Counter{}
//   apalis::Token<int> t = h.call(&Counter::add, 5);          // at once
//   int five = t.get();                                       // waits
//   h.post(&Counter::add, 1);                                 // no reply
//   auto c = h.prepare(&Counter::add, 2);
//   std::vector<int> sums = h.run(std::vector(1000, c));      // one message each way

#include <sys/types.h>

#include <apalis/backend/backend.hpp>
#include <apalis/call.hpp>
#include <apalis/carry.hpp>
#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/makers.hpp>
#include <apalis/detail/core/short_name.hpp>
#include <apalis/detail/wire/attribute.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/options.hpp>
#include <apalis/token.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

namespace detail {
template <class... Args>
inline constexpr bool starts_with_options = false;
template <class First, class... Rest>
inline constexpr bool starts_with_options<First, Rest...> =
    std::is_same_v<std::remove_cvref_t<First>, CallOptions>;
}  // namespace detail

/// An object of type A, living in a worker process, reached by calls.
///
/// **Owns** the worker. Moves, never copies.
/// **Threads:** any number at once, except moving, closing and destroying.
/// **Fork:** works only in the process that made it. Used in a fork, or moved from, it throws; as
/// such it destructs as nothing.
/// **Blocks:** constructors for a fork, not for A's constructor. call, post, set, copy, prepare:
/// never for a call, but while the buffers are full (about 2000 small calls, 256 KiB), taking
/// replies in meanwhile. run, drain, close: until the calls have ended. The destructor: up to
/// Options::close_timeout, then it kills.
/// **Peer death:** the call in progress fails with WorkerDied. So do all others, these and later
/// ones, unless Options::restart gives the handler another worker, which they then go to.
/// **Throws:** constructors SystemError; calls Error once closed. An exception of A's constructor
/// is what every call then fails with.
/// **Ordering:** one FIFO per submitting thread of call, post, get, set, copy, run.
template <class A>
class Handler {
  static_assert(std::is_object_v<A> && !std::is_const_v<A> && !std::is_array_v<A>,
                "apalis: Handler<A> needs a plain object type");

 public:
  /// A{} constructed in the worker.
  Handler()
    requires std::default_initializable<A>
      : Handler(Options{}, std::in_place) {}

  /// A(args...) constructed in the worker. Nothing needs to be serialisable.
  template <class... Args>
    requires std::constructible_from<A, Args...>
  explicit Handler(std::in_place_t, Args&&... args)
      : Handler(Options{}, std::in_place, std::forward<Args>(args)...) {}

  template <class... Args>
    requires std::constructible_from<A, Args...>
  Handler(Options options, std::in_place_t, Args&&... args) {
    detail::actor::InPlaceMaker<A, Args...> maker{std::forward<Args>(args)...};
    open(std::move(options), maker);
  }

  /// This very object, carried by the fork; the parent's instance ends right after it.
  template <class T>
    requires std::same_as<std::remove_cvref_t<T>, A>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): never for T = Handler, see requires
  explicit(false) Handler(T&& object) : Handler(Options{}, carry, std::forward<T>(object)) {}

  template <class T>
    requires std::constructible_from<A, T>
  Handler(Options options, carry_t, T&& object) {
    detail::actor::CarryMaker<A> maker{std::make_unique<A>(std::forward<T>(object))};
    open(std::move(options), maker);
  }

  Handler(Handler&& other) noexcept
      : link_(std::exchange(other.link_, nullptr)), exceptions_(std::uncaught_exceptions()) {}
  Handler& operator=(Handler&& other) noexcept {
    if (this != &other) {
      shut();
      link_ = std::exchange(other.link_, nullptr);
    }
    return *this;
  }
  ~Handler() { shut(); }

  // --- Calls -------------------------------------------------------------------------------------

  /// Calls a member function, or anything that takes the object first: callable(A&, args...).
  template <class F, class... Args>
    requires(!detail::starts_with_options<F>)
  auto call(F&& callable, Args&&... args) {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    auto& link = this->link();
    detail::wire::Buffer message;
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_call<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    return submit<detail::actor::ResultState<R>, R>(link, message, CallOptions{});
  }

  /// The same with a limit on its time, or leave to run it again.
  template <class F, class... Args>
  auto call(const CallOptions& options, F&& callable, Args&&... args) {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    auto& link = this->link();
    detail::wire::Buffer message;
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_call<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    return submit<detail::actor::ResultState<R>, R>(link, message, options);
  }

  /// The same with the member function bound at compile time: less to send, faster to run.
  template <auto Method, class... Args>
    requires(!detail::starts_with_options<Args...>)
  auto call(Args&&... args) {
    using R = detail::wire::call_result_v_t<A, Method, Args...>;
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_call_v<A, Method>(message, std::forward<Args>(args)...);
    return submit<detail::actor::ResultState<R>, R>(link, message, CallOptions{});
  }

  template <auto Method, class... Args>
  auto call(const CallOptions& options, Args&&... args) {
    using R = detail::wire::call_result_v_t<A, Method, Args...>;
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_call_v<A, Method>(message, std::forward<Args>(args)...);
    return submit<detail::actor::ResultState<R>, R>(link, message, options);
  }

  /// One-way: the result is dropped; the first failure and their count surface at drain().
  template <class F, class... Args>
  void post(F&& callable, Args&&... args) {
    auto& link = this->link();
    detail::wire::Buffer message;
    link.check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_post<A>(message, std::forward<F>(callable), std::forward<Args>(args)...);
    post_message(link, message);
  }

  template <auto Method, class... Args>
  void post(Args&&... args) {
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_post_v<A, Method>(message, std::forward<Args>(args)...);
    post_message(link, message);
  }

  // --- Attributes --------------------------------------------------------------------------------

  /// A data member's value.
  template <class M, class B>
  auto get(M B::*member) {
    using R = detail::wire::get_result_t<A, M B::*>;
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_get<A>(message, member);
    return submit<detail::actor::ResultState<R>, R>(link, message, CallOptions{});
  }

  /// Assigns a data member; one-way.
  template <class M, class B>
  void set(M B::*member, const std::type_identity_t<M>& value) {
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_set<A>(message, member, value);
    post_message(link, message);
  }

  /// A copy of the whole object.
  [[nodiscard]] Token<A> copy() {
    auto& link = this->link();
    detail::wire::Buffer message;
    detail::wire::encode_copy<A>(message);
    return submit<detail::actor::ResultState<A>, A>(link, message, CallOptions{});
  }

  /// A copy on which the worker has run edit(copy, args...) first. The object stays as it is.
  template <class F, class... Args>
  [[nodiscard]] Token<A> copy(F&& edit, Args&&... args) {
    auto& link = this->link();
    detail::wire::Buffer message;
    link.check_code(detail::wire::code_address<A>(edit));
    detail::wire::encode_copy<A>(message, std::forward<F>(edit), std::forward<Args>(args)...);
    return submit<detail::actor::ResultState<A>, A>(link, message, CallOptions{});
  }

  // --- Batches -----------------------------------------------------------------------------------

  /// Encodes a call without sending it.
  template <class F, class... Args>
  [[nodiscard]] auto prepare(F&& callable, Args&&... args) const {
    using R = detail::wire::call_result_t<A, std::decay_t<F>, Args...>;
    Call<A, R> call;
    call.code_ = detail::wire::code_address<A>(callable);
    detail::wire::encode_call<A>(call.bytes_, std::forward<F>(callable),
                                 std::forward<Args>(args)...);
    return call;
  }

  template <auto Method, class... Args>
  [[nodiscard]] auto prepare(Args&&... args) const {
    Call<A, detail::wire::call_result_v_t<A, Method, Args...>> call;
    detail::wire::encode_call_v<A, Method>(call.bytes_, std::forward<Args>(args)...);
    return call;
  }

  /// All the calls in one message, one token: Token<std::vector<R>>, or Token<void>. If any of them
  /// fails, the token throws BatchError with every outcome.
  template <class Calls>
  auto multiple_run(Calls&& calls) {
    using R = typename decltype(result_of(*std::begin(calls)))::type;
    using State = detail::actor::BatchState<R>;
    auto& link = this->link();
    const auto count = static_cast<std::size_t>(std::distance(std::begin(calls), std::end(calls)));
    detail::wire::Buffer message;
    detail::wire::begin_batch(message, count);
    for (const Call<A, R>& call : calls) {
      link.check_code(call.code_);
      check_entry(link, call.bytes_.data());
      detail::wire::append_to_batch(message, call.bytes_.bytes());
    }
    return submit<State, typename State::Results>(link, message, CallOptions{}, count);
  }

  /// The same, and the results at once: std::vector<R>, or nothing.
  template <class Calls>
  auto run(Calls&& calls) {
    return multiple_run(std::forward<Calls>(calls)).get();
  }

  // --- The worker --------------------------------------------------------------------------------

  /// Waits until everything accepted has ended. Throws PostError if one-way calls failed since the
  /// last drain, WorkerDied.
  void drain() { link().drain(); }

  /// Completes what was accepted, without bound, then destroys the object and ends the worker.
  /// Throws as drain() does. Calls after it throw Error; a second close() does nothing.
  void close() { link().close(); }

  /// Ends the worker at once; pending calls fail with WorkerDied. Throws Error where the backend
  /// can't (see capabilities()).
  void kill() { link().kill(); }

  /// Whether the worker can still run calls.
  [[nodiscard]] bool alive() { return link().alive(); }

  /// How often a worker that died was replaced; see Options::restart.
  [[nodiscard]] std::uint32_t restarts() const { return link().counts().restarts; }
  /// How often a worker was replaced after Options::max_calls_per_worker.
  [[nodiscard]] std::uint32_t retired() const { return link().counts().retired; }

  /// The worker's process; this one for a backend without processes.
  [[nodiscard]] pid_t pid() const { return link().pid(); }

  [[nodiscard]] const std::string& name() const { return link().options().name; }
  [[nodiscard]] Backend backend() const { return link().options().backend; }
  [[nodiscard]] Capabilities capabilities() const { return apalis::capabilities(backend()); }

  /// False when moved from, or in a fork of the process that made it.
  [[nodiscard]] bool valid() const noexcept { return link_ != nullptr && link_->is_here(); }

 private:
  using Link = detail::actor::Link;

  template <class R>
  static std::type_identity<R> result_of(const Call<A, R>&);

  void open(Options options, detail::actor::Maker& maker) {
    if (options.name.empty()) options.name = detail::short_type_name<A>();
    link_ = detail::backend::open_link(options, maker);
  }

  void shut() noexcept {
    if (!valid()) return;  // a fork's copy: the worker and the link's memory are the parent's
    link_->shut(std::uncaught_exceptions() > exceptions_);
    std::exchange(link_, nullptr)->release();
  }

  Link& link() const {
    if (!valid()) [[unlikely]]
      refuse();
    return *link_;
  }
  [[noreturn]] void refuse() const {
    throw Error(link_ == nullptr
                    ? "apalis: this handler was moved from"
                    : "apalis: this handler belongs to the process that made it, not to its fork");
  }

  /// Every message starts with the address of its entry.
  static const detail::wire::Entry* check_entry(const Link& link, const std::byte* message) {
    const detail::wire::Entry* entry = nullptr;
    std::memcpy(&entry, message, sizeof entry);
    link.check_code(entry);
    return entry;
  }

  template <class State, class R, class... StateArgs>
  static Token<R> submit(Link& link, const detail::wire::Buffer& message,
                         const CallOptions& options, StateArgs... state_args) {
    const auto* entry = check_entry(link, message.data());
    auto state = std::make_unique<State>(state_args...);
    state->entry = entry;
    state->timeout = options.timeout;
    state->retries = options.retries;
    state->attach(link);
    link.submit(message, *state);
    return detail::actor::TokenAccess::make<R>(state.release());
  }

  static void post_message(Link& link, const detail::wire::Buffer& message) {
    check_entry(link, message.data());
    link.post(message);
  }

  Link* link_ = nullptr;
  int exceptions_ = std::uncaught_exceptions();  // more of them in the destructor: unwinding
};

template <class A>
Handler(A) -> Handler<A>;
template <class A>
Handler(Options, carry_t, A) -> Handler<A>;

}  // namespace apalis
