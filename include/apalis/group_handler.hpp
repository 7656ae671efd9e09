// SPDX-License-Identifier: BSL-1.0
#pragma once

// Many objects over a few worker processes.
//
//   apalis::GroupHandler<Model> g{std::in_place, 64, [](std::size_t i) { return Model{i}; }};
//
//   apalis::Token<double> t = g[2].call(&Model::step, 0.1);           // one object
//   std::vector<double> all = g.map(&Model::step, 0.1);               // every object
//   std::vector<double> own = g.map(&Model::step, apalis::each(dts));  // each has its own argument
//   std::vector calls{g[0].prepare(&Model::step, 0.1), g[1].prepare(&Model::step, 0.2)};
//   std::vector<double> some = g.run(calls);                          // one message a worker

#include <sys/types.h>

#include <apalis/backend/group_opener.hpp>
#include <apalis/call.hpp>
#include <apalis/carry.hpp>
#include <apalis/detail/actor/gather_state.hpp>
#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/actor/group_makers.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/core/short_name.hpp>
#include <apalis/detail/wire/map.hpp>
#include <apalis/each.hpp>
#include <apalis/object_calls.hpp>
#include <apalis/options.hpp>
#include <apalis/token.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

/// One object of a group: calls go to it as to a Handler's.
///
/// **Owns** nothing but the group's memory: it may outlive the group, whose objects are gone then
/// and whose calls throw Error. Copies refer to the same object.
/// **Threads:** any number at once.
template <class A>
class GroupObject : public ObjectCalls<GroupObject<A>, A> {
 public:
  GroupObject(const GroupObject& other) noexcept : group_(other.group_), index_(other.index_) {
    group_->retain();
  }
  GroupObject& operator=(const GroupObject& other) noexcept {
    other.group_->retain();
    group_->release();
    group_ = other.group_;
    index_ = other.index_;
    return *this;
  }
  ~GroupObject() { group_->release(); }

  /// Its place in the group.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// Which of the group's workers it lives with.
  [[nodiscard]] std::size_t worker() const noexcept { return index_ % group_->workers(); }
  /// That worker's process; this one for a backend without processes.
  [[nodiscard]] pid_t pid() const { return link().pid(); }

 private:
  friend class GroupHandler<A>;
  friend class ObjectCalls<GroupObject<A>, A>;

  GroupObject(detail::actor::Group& group, std::uint32_t index) noexcept
      : group_(&group), index_(index) {
    group_->retain();
  }

  [[nodiscard]] detail::actor::Link& link() const {
    if (!group_->is_here()) [[unlikely]]
      throw Error("apalis: this group belongs to the process that made it, not to its fork");
    return *group_->links()[index_ % group_->workers()];
  }
  void address(detail::wire::Buffer& message) const {
    detail::actor::address(message, index_ / group_->workers());
  }
  [[nodiscard]] std::uint32_t object_index() const noexcept { return index_; }

  detail::actor::Group* group_;
  std::uint32_t index_;
};

/// Objects of type A, shared out evenly among worker processes: object i lives with worker
/// i mod workers().
///
/// **Owns** the workers. Moves, never copies; its GroupObjects stay good.
/// **Threads:** any number at once, except moving, closing and destroying.
/// **Fork:** works only in the process that made it. Used in a fork, or moved from, it throws; as
/// such it destructs as nothing.
/// **Blocks:** constructors for a fork a worker. call, post, multiple_run: only while buffers are
/// full. run, map, drain, close: until the calls have ended. The destructor: up to
/// GroupOptions::close_timeout, then it kills.
/// **Peer death:** the calls that a dead worker had not answered fail with WorkerDied, later calls
/// to its objects too (see lost()), unless GroupOptions::restart gives it a successor, which makes
/// its objects anew.
/// **Throws:** constructors SystemError; calls Error once closed. run() and map() BatchError, with
/// every outcome, if a call failed. An exception of an object's constructor is what every call to
/// that object then fails with.
/// **Ordering:** calls to one object in the order in which one thread makes them; to different
/// objects unspecified.
template <class A>
class GroupHandler {
  static_assert(std::is_object_v<A> && !std::is_const_v<A> && !std::is_array_v<A>,
                "apalis: GroupHandler<A> needs a plain object type");

 public:
  using value_type = GroupObject<A>;

  /// These very objects, carried by the fork; the parent's instances end right after it.
  // NOLINTNEXTLINE(google-explicit-constructor): as Handler's
  explicit(false) GroupHandler(std::vector<A> objects)
      : GroupHandler(GroupOptions{}, carry, std::move(objects)) {}

  GroupHandler(GroupOptions options, carry_t, std::vector<A> objects) : size_(objects.size()) {
    detail::actor::CarryGroupMaker<A> maker{std::move(objects)};
    open(std::move(options), maker);
  }

  /// factory(0), factory(1), … up to `count` of them, each made in the worker where it will live.
  template <class Factory>
    requires std::is_invocable_r_v<A, Factory&, std::size_t>
  GroupHandler(std::in_place_t, std::size_t count, Factory factory)
      : GroupHandler(GroupOptions{}, std::in_place, count, std::move(factory)) {}

  template <class Factory>
    requires std::is_invocable_r_v<A, Factory&, std::size_t>
  GroupHandler(GroupOptions options, std::in_place_t, std::size_t count, Factory factory)
      : size_(count) {
    detail::actor::FactoryGroupMaker<A, Factory> maker{count, factory};
    open(std::move(options), maker);
  }

  /// `count` times A(args...), each made in the worker where it will live.
  template <class... Args>
    requires(std::constructible_from<A, const Args&...> &&
             !(sizeof...(Args) == 1 && (std::is_invocable_r_v<A, Args&, std::size_t> && ...)))
  GroupHandler(std::in_place_t, std::size_t count, const Args&... args)
      : GroupHandler(GroupOptions{}, std::in_place, count, args...) {}

  template <class... Args>
    requires(std::constructible_from<A, const Args&...> &&
             !(sizeof...(Args) == 1 && (std::is_invocable_r_v<A, Args&, std::size_t> && ...)))
  GroupHandler(GroupOptions options, std::in_place_t, std::size_t count, const Args&... args)
      : size_(count) {
    detail::actor::SameGroupMaker<A, Args...> maker{count, args...};
    open(std::move(options), maker);
  }

  GroupHandler(GroupHandler&& other) noexcept
      : size_(std::exchange(other.size_, 0)),
        group_(std::exchange(other.group_, nullptr)),
        close_timeout_(other.close_timeout_),
        exceptions_(std::uncaught_exceptions()) {}
  GroupHandler& operator=(GroupHandler&& other) noexcept {
    if (this != &other) {
      shut();
      size_ = std::exchange(other.size_, 0);
      group_ = std::exchange(other.group_, nullptr);
      close_timeout_ = other.close_timeout_;
    }
    return *this;
  }
  ~GroupHandler() { shut(); }

  // --- The objects -------------------------------------------------------------------------------

  /// `index` < size(); at() throws Error for others.
  [[nodiscard]] GroupObject<A> operator[](std::size_t index) const {
    return {group(), static_cast<std::uint32_t>(index)};
  }
  [[nodiscard]] GroupObject<A> at(std::size_t index) const {
    if (index >= size_) refuse_index(index);
    return (*this)[index];
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  /// Gives the objects one after the other, by value.
  class Iterator {
   public:
    using value_type = GroupObject<A>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator() noexcept = default;
    value_type operator*() const { return (*handler_)[index_]; }
    Iterator& operator++() noexcept {
      ++index_;
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++index_;
      return before;
    }
    [[nodiscard]] bool operator==(const Iterator&) const noexcept = default;

   private:
    friend class GroupHandler;
    Iterator(const GroupHandler& handler, std::size_t index) noexcept
        : handler_(&handler), index_(index) {}
    const GroupHandler* handler_ = nullptr;
    std::size_t index_ = 0;
  };
  [[nodiscard]] Iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {*this, size_}; }

  // --- Many calls --------------------------------------------------------------------------------

  /// All the calls, one message a worker, one token: Token<std::vector<R>>, results in the order of
  /// the calls, or Token<void>. If any of them fails, the token throws BatchError with every
  /// outcome.
  template <class Calls>
  auto multiple_run(const Calls& calls) const {
    using R = typename decltype(result_of(*std::begin(calls)))::type;
    return submit_calls<R, false>(calls);
  }

  /// The same with failures among the results: Token<std::vector<Outcome<R>>>.
  template <class Calls>
  auto multiple_run(const Calls& calls, collect_t) const {
    using R = typename decltype(result_of(*std::begin(calls)))::type;
    return submit_calls<R, true>(calls);
  }

  /// The same, and the results at once: std::vector<R>, or nothing.
  template <class Calls>
  auto run(const Calls& calls) const {
    return multiple_run(calls).get();
  }
  template <class Calls>
  auto run(const Calls& calls, collect_t) const {
    return multiple_run(calls, collect).get();
  }

  /// Calls every object with the same arguments, or with its own from each(): std::vector<R> in the
  /// order of the objects, or nothing. The fastest way to reach them all.
  template <class F, class... Args>
  auto map(const F& callable, const Args&... args) const {
    return start_map(callable, args...).get();
  }
  template <auto Method, class... Args>
  auto map(const Args&... args) const {
    return start_map<Method>(args...).get();
  }

  /// The same as a token.
  template <class F, class... Args>
  auto start_map(const F& callable, const Args&... args) const {
    using D = std::decay_t<F>;
    using R = detail::wire::map_result_t<A, D, Args...>;
    detail::wire::Buffer message;
    check_code(detail::wire::code_address<A>(callable));
    detail::wire::encode_map<A, D>(message, callable, args...);
    using Shape = detail::wire::CallShape<A, detail::wire::Callee<D>,
                                          detail::wire::map_argument_t<const Args&>...>;
    return submit_map<R, typename Shape::Parameters>(message, args...);
  }
  template <auto Method, class... Args>
  auto start_map(const Args&... args) const {
    using F = std::remove_const_t<decltype(Method)>;
    using R = detail::wire::map_result_t<A, F, Args...>;
    detail::wire::Buffer message;
    detail::wire::encode_map_v<A, Method>(message, args...);
    using Shape =
        detail::wire::CallShape<A, F, detail::wire::map_argument_t<const Args&>...>;
    return submit_map<R, typename Shape::Parameters>(message, args...);
  }

  // --- The workers -------------------------------------------------------------------------------

  /// How many there are: GroupOptions::workers, but never more than objects.
  [[nodiscard]] std::size_t workers() const { return group().workers(); }

  /// Waits until everything accepted has ended. Throws PostError if one-way calls failed since the
  /// last drain, WorkerDied.
  void drain() { group().drain(); }

  /// Completes what was accepted, without bound, then destroys the objects and ends the workers.
  /// Throws as drain() does. Calls after it throw Error; a second close() does nothing.
  void close() { group().close(); }

  /// Ends the workers at once; pending calls fail with WorkerDied. Throws Error where the backend
  /// can't.
  void kill() { group().kill(); }

  /// Whether every worker can still run calls.
  [[nodiscard]] bool alive() {
    for (auto* link : group().links())
      if (!link->alive()) return false;
    return true;
  }

  /// Indices of the objects whose worker has ended for good, ascending.
  [[nodiscard]] std::vector<std::size_t> lost() {
    const auto links = group().links();
    std::vector<char> gone;
    for (auto* link : links) gone.push_back(link->alive() ? 0 : 1);
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < size_; ++i)
      if (gone[i % links.size()] != 0) indices.push_back(i);
    return indices;
  }

  /// How often a worker that died was replaced; its objects were then made anew.
  [[nodiscard]] std::uint32_t restarts() const {
    std::uint32_t count = 0;
    for (auto* link : group().links()) count += link->counts().restarts;
    return count;
  }
  /// How often a worker was replaced after GroupOptions::max_calls_per_worker.
  [[nodiscard]] std::uint32_t retired() const {
    std::uint32_t count = 0;
    for (auto* link : group().links()) count += link->counts().retired;
    return count;
  }

  /// The workers' processes.
  [[nodiscard]] std::vector<pid_t> pids() const {
    std::vector<pid_t> all;
    for (auto* link : group().links()) all.push_back(link->pid());
    return all;
  }

  /// False when moved from, or in a fork of the process that made it.
  [[nodiscard]] bool valid() const noexcept { return group_ != nullptr && group_->is_here(); }

 private:
  using Group = detail::actor::Group;

  template <class R>
  static std::type_identity<R> result_of(const Call<A, R>&);

  void open(GroupOptions options, detail::actor::GroupMaker& maker) {
    if (options.name.empty()) options.name = detail::short_type_name<A>();
    close_timeout_ = options.close_timeout;
    group_ = detail::backend::open_group(options, size_, maker);
  }

  void shut() noexcept {
    if (!valid()) return;  // a fork's copy: the workers and their memory are the parent's
    group_->shut(std::uncaught_exceptions() > exceptions_,
                 detail::actor::deadline_after(close_timeout_));
    std::exchange(group_, nullptr)->release();
  }

  Group& group() const {
    if (!valid()) [[unlikely]]
      detail::backend::refuse_group(group_ != nullptr);
    return *group_;
  }
  [[noreturn]] void refuse_index(std::size_t index) const {
    detail::backend::refuse_index(index, size_);
  }

  // The worker that was made first has the fewest modules.
  void check_code(const void* address) const {
    if (size_ > 0) group().links().front()->check_code(address);
  }
  void check_entry(const detail::wire::Buffer& message) const {
    if (size_ > 0) detail::check_entry(*group().links().front(), message.data());
  }

  template <class R, bool collected, class Submit>
  auto gather(detail::actor::CallOrder order, Submit submit) const {
    using State = detail::actor::GatherState<R, collected>;
    auto state = std::make_unique<State>(group(), std::move(order));
    submit(*state);
    return detail::actor::TokenAccess::make<typename State::Results>(state.release());
  }

  template <class R, bool collected, class Calls>
  auto submit_calls(const Calls& calls) const {
    detail::actor::GroupMessages messages{group()};
    detail::actor::CallOrder order{workers()};
    order.reserve(static_cast<std::size_t>(std::distance(std::begin(calls), std::end(calls))));
    for (const Call<A, R>& call : calls) {
      if (call.object_ >= size_) [[unlikely]]
        detail::backend::refuse_call(call.object_ == detail::no_object, call.object_, size_);
      check_code(call.code_);
      check_entry(call.bytes_);
      order.add(messages.add_call(call.object_, call.bytes_));
    }
    return gather<R, collected>(std::move(order), [&](auto& state) { messages.submit(state); });
  }

  template <class R, class Parameters, class... Args>
  auto submit_map(detail::wire::Buffer& shared, const Args&... args) const {
    detail::actor::CallOrder order{size_, workers()};
    check_entry(shared);
    if constexpr ((detail::wire::is_each<Args> || ...)) {
      (check_length(args), ...);
      const auto workers = group().workers();
      detail::actor::GroupMessages messages{group()};
      messages.add_to_all(shared);
      detail::wire::EachCursor<Parameters, Args...> cursor{args...};
      for (std::size_t i = 0; i < size_; ++i)
        cursor.encode_next(messages[static_cast<std::uint32_t>(i % workers)]);
      return gather<R, false>(std::move(order), [&](auto& state) { messages.submit(state); });
    } else {
      detail::actor::address(shared, detail::wire::all_objects);
      return gather<R, false>(std::move(order),
                              [&](auto& state) { group().submit_to_all(shared, state); });
    }
  }

  template <class Arg>
  void check_length([[maybe_unused]] const Arg& arg) const {
    if constexpr (detail::wire::is_each<Arg>) {
      const auto length =
          static_cast<std::size_t>(std::distance(std::begin(arg.range), std::end(arg.range)));
      if (length != size_) detail::backend::refuse_length(length, size_);
    }
  }

  std::size_t size_ = 0;
  Group* group_ = nullptr;
  std::chrono::milliseconds close_timeout_{0};
  int exceptions_ = std::uncaught_exceptions();  // more of them in the destructor: unwinding
};

template <class A>
GroupHandler(std::vector<A>) -> GroupHandler<A>;
template <class A>
GroupHandler(GroupOptions, carry_t, std::vector<A>) -> GroupHandler<A>;

}  // namespace apalis
