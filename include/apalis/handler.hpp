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
#include <apalis/object_calls.hpp>
#include <apalis/options.hpp>
#include <apalis/token.hpp>
#include <concepts>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

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
class Handler : public ObjectCalls<Handler<A>, A> {
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

  // --- Batches -----------------------------------------------------------------------------------

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
      detail::check_entry(link, call.bytes_.data());
      if (call.object_ != detail::no_object) [[unlikely]]
        throw Error(
            "apalis: this call was prepared for an object of a group: run it with the group");
      detail::wire::append_to_batch(message, call.bytes_.bytes());
      message.holds().add_all(call.bytes_.holds());
    }
    auto state = std::make_unique<State>(count);
    state->entry = &detail::wire::batch_entry;
    state->attach(link);
    link.submit(message, *state);
    return detail::actor::TokenAccess::make<typename State::Results>(state.release());
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
    link_->shut(std::uncaught_exceptions() > exceptions_,
                detail::actor::deadline_after(link_->options().close_timeout));
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

  // For ObjectCalls.
  friend class ObjectCalls<Handler<A>, A>;
  static void address(detail::wire::Buffer& /*message*/) noexcept {}
  static constexpr std::uint32_t object_index() noexcept { return detail::no_object; }

  Link* link_ = nullptr;
  int exceptions_ = std::uncaught_exceptions();  // more of them in the destructor: unwinding
};

template <class A>
Handler(A) -> Handler<A>;
template <class A>
Handler(Options, carry_t, A) -> Handler<A>;

}  // namespace apalis
