// SPDX-License-Identifier: BSL-1.0
#pragma once

// One map, from the user's arguments to its results.

#include <apalis/detail/engine/map_job.hpp>
#include <apalis/detail/engine/map_options.hpp>
#include <apalis/detail/engine/map_run.hpp>
#include <apalis/each.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/outcome.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::detail::engine {

// ---- The user's arguments -------------------------------------------------------------------------

template <class T>
concept MapOption = requires(MapOptions& options, const T& value) { options.set(value); };
template <class T>
inline constexpr bool is_collect = std::is_same_v<T, collect_t>;
template <class T>
inline constexpr bool is_argument = !MapOption<T> && !is_collect<T>;

/// Those that every call gets, as a std::tuple<const Args&...>.
template <class Arg>
auto pick_argument([[maybe_unused]] const Arg& arg) {
  if constexpr (is_argument<Arg>) {
    return std::tuple<const Arg&>{arg};
  } else {
    return std::tuple<>{};
  }
}
template <class... Args>
using ArgumentTuple = decltype(std::tuple_cat(pick_argument(std::declval<const Args&>())...));

template <class... Args>
MapOptions options_of(const Args&... args) {
  MapOptions options;
  [[maybe_unused]] const auto set = [&]<class Arg>([[maybe_unused]] const Arg& arg) {
    if constexpr (MapOption<Arg>) options.set(arg);
  };
  (set(args), ...);
  return options;
}

// ---- State ----------------------------------------------------------------------------------------

/// Without a state.
struct NoFactory {
  static constexpr bool is_sent = true;
  using State = NoState;
  static void write(wire::Buffer& /*frame*/) noexcept {}
};

/// Names the states of one StatefulEngine in all workers; at its end they end, too.
class StateName {
 public:
  explicit StateName(std::weak_ptr<EngineCore> core);
  StateName(const StateName&) = delete;
  StateName& operator=(const StateName&) = delete;
  ~StateName();
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

 private:
  std::weak_ptr<EngineCore> core_;
  std::uint64_t id_;
};

template <class S, class Factory>
struct StateFactory {
  static_assert(std::is_invocable_r_v<S, Factory&>,
                "apalis: with_state<S>() takes a callable without parameters that returns an S");
  static constexpr bool is_sent = engine::is_sent<Factory>;
  using State = StateOf<S, MapTarget<Factory>>;

  void write(wire::Buffer& frame) {
    wire::encode<std::uint64_t>(frame, name->id());
    write_callable(frame, make);
  }

  Factory make;
  std::shared_ptr<const StateName> name;
};

// ---- Reduction ------------------------------------------------------------------------------------

/// Combines values that come in order so that each is part of few combinations (as the carries of a
/// binary counter): a long sum's rounding errors stay small, and what grows is copied seldom.
template <class T, class Op>
class ReductionTree {
 public:
  explicit ReductionTree(Op& op) noexcept : op_(op) {}

  void add(T value) {
    std::size_t level = 0;
    for (; level < levels_.size() && levels_[level]; ++level) {
      value = static_cast<T>(op_(std::move(*levels_[level]), std::move(value)));
      levels_[level].reset();
    }
    if (level == levels_.size()) levels_.emplace_back();
    levels_[level].emplace(std::move(value));
  }
  /// op(init, all of them).
  T total(T init) {
    std::optional<T> sum;  // of the later ones
    for (auto& level : levels_) {
      if (!level) continue;
      if (sum) {
        sum.emplace(static_cast<T>(op_(std::move(*level), std::move(*sum))));
      } else {
        sum = std::move(level);
      }
    }
    return sum ? static_cast<T>(op_(std::move(init), std::move(*sum))) : init;
  }

 private:
  Op& op_;
  std::vector<std::optional<T>> levels_;
};

// ---- The plan -------------------------------------------------------------------------------------

/// In place of a reduction's callable.
struct NoOp {};

/// **Owns** nothing: what it refers to outlives it, and the runs that it makes.
template <class S, class F, class Range, class Factory, class Arguments>
class MapPlan;
template <class S, class F, class Range, class Factory, class... Arguments>
class MapPlan<S, F, Range, Factory, std::tuple<const Arguments&...>> {
  using Tuple = std::tuple<const Arguments&...>;
  using ItemT = Offered<Item<Range>>;
  using Plain = Callee<std::remove_const_t<F>>;

  template <bool with_result>
  static constexpr auto verdict() {
    return can_map<with_result, S, Plain, ItemT, Meant<const Arguments&>...>();
  }

 public:
  using R = map_result_t<S, Plain, ItemT, Meant<const Arguments&>...>;

  MapPlan(EngineCore& core, F& f, Range& items, Factory& factory, Tuple arguments,
          const MapOptions& options)
      : f_(f),
        factory_(factory),
        arguments_(arguments),
        cursor_(items, options.most_items()),
        length_(cursor_.left()),
        job_(core, options, length_) {}

  template <bool collected>
  auto map() {
    constexpr auto possible = verdict<true>();
    wire::say(possible);
    if constexpr (!possible) {
      return;
    } else if constexpr (collected) {
      return outcomes();
    } else if constexpr (std::is_void_v<R>) {
      run_all<ValuesSink<void>>(true);
    } else {
      return values();
    }
  }

  void for_each() {
    constexpr auto possible = verdict<false>();
    wire::say(possible);
    if constexpr (possible) run_all<ValuesSink<void>>(false);
  }

  auto flat_map() {
    constexpr auto possible = verdict<true>();
    wire::say(possible);
    if constexpr (possible) {
      static_assert(
          requires(R & container) {
            std::begin(container);
            std::end(container);
          },
          "apalis: flat_map() needs a callable that returns a container of results");
      std::vector<std::remove_cvref_t<decltype(*std::begin(std::declval<R&>()))>> all;
      each_value<ValuesSink<R>>([&](R&& container) {
        all.insert(all.end(), std::make_move_iterator(std::begin(container)),
                   std::make_move_iterator(std::end(container)));
      });
      return all;
    }
  }

  template <class Op, class T>
  T map_reduce(Op& op, T init) {
    constexpr auto possible = verdict<false>();
    wire::say(possible);
    constexpr auto crosses = wire::can_be_result<T>();
    wire::say(crosses);
    if constexpr (possible && crosses) {
      static_assert(std::is_invocable_r_v<T, Op&, T, T> && std::is_invocable_r_v<T, Op&, T, R> &&
                        std::is_convertible_v<R, T>,
                    "apalis: map_reduce() needs op(T, T) and op(T, R) that return a T, and an R "
                    "that converts to T: T is the type of init, R the result of the callable");
      using Sink = ReducingSink<T, MapTarget<Op>>;
      ReductionTree<T, Op> tree{op};
      if (job_.runs_here()) {
        auto local = local_run<ValuesSink<void>>(no_op);
        run_local(local, [&](std::uint64_t /*index*/, auto&& value) {
          tree.add(static_cast<T>(std::forward<decltype(value)>(value)));
        });
      } else {
        auto run = worker_run<Sink>(op, {});
        while (const Batch* const batch = run.next()) {
          if (batch->failed()) read_values<void>(*batch, [](std::uint64_t /*index*/) {});
          wire::Reader reader = batch->results();
          tree.add(wire::decode<T>(reader));
        }
      }
      return tree.total(std::move(init));
    }
  }

  // --- For these and for imap() --------------------------------------------------------------------

  template <class Sink>
  using Thunk = typename MapTypes<S, F, ItemT, const Arguments&...>::Extras::template Thunk<
      MapTarget<F>, Sink, typename Factory::State>;

  template <class Op>
  auto frame_writer(Op& op) const {
    return [&f = f_, &factory = factory_, arguments = arguments_, &op](wire::Buffer& frame) {
      write_callable(frame, f);
      MapTypes<S, F, ItemT, const Arguments&...>::Extras::write(frame, arguments);
      write_op(frame, op);
      factory.write(frame);
    };
  }

  /// **Owns** what the batches are made of.
  template <class Sink, class Op>
  class WorkerRun {
    using Writer = decltype(std::declval<const MapPlan&>().frame_writer(std::declval<Op&>()));
    using Source = MapItems<Thunk<Sink>, Range, Writer>;

   public:
    WorkerRun(MapPlan& plan, Op& op, const MapOrder& order)
        : source_(std::move(plan.cursor_), plan.frame_writer(op)), job_(plan.job_) {
      auto whole = order;
      whole.name = Thunk<Sink>::name;
      whole.entry = &batch_entry<Thunk<Sink>>;
      whole.code = plan.code();
      whole.is_sent = is_sendable<Op>;
      whole.are_small = Source::are_small;
      job_.begin(source_, whole);
    }
    WorkerRun(const WorkerRun&) = delete;
    WorkerRun& operator=(const WorkerRun&) = delete;
    ~WorkerRun() { job_.end(); }

    Batch* next() { return job_.next(); }

   private:
    Source source_;
    MapJob& job_;
  };

  template <class Sink, class Op>
  WorkerRun<Sink, Op> worker_run(Op& op, const MapOrder& order) {
    return {*this, op, order};
  }
  template <class Sink, class Op>
  LocalRun<Thunk<Sink>, Range> local_run(Op& op) {
    return {job_, std::move(cursor_), frame_writer(op)};
  }
  [[nodiscard]] bool runs_here() const noexcept { return job_.runs_here(); }

  inline static NoOp no_op;

 private:
  template <class Op>
  static void write_op(wire::Buffer& frame, Op& op) {
    write_callable(frame, op);
  }
  static void write_op(wire::Buffer& /*frame*/, NoOp& /*none*/) noexcept {}

  /// Whether workers that there are can be sent all of it.
  template <class Op>
  static constexpr bool is_sendable =
      is_sent<F> && Factory::is_sent && (std::is_same_v<Op, NoOp> || is_sent<Op>);

  [[nodiscard]] const void* code() const noexcept {
    if constexpr (wire::is_function_pointer<Plain> || is_method<Plain>) {
      return wire::code_address<void>(f_);
    } else {
      return nullptr;
    }
  }

  template <class Local, class Use>
  static void run_local(Local& local, Use use) {
    for (;;) {
      try {
        if (!local.next(use)) return;
      } catch (...) {
        local.rethrow();
      }
    }
  }

  /// Calls use(value) in order.
  template <class Sink, class Use>
  void each_value(Use use) {
    if (job_.runs_here()) {
      auto local = local_run<Sink>(no_op);
      run_local(local, [&](std::uint64_t /*index*/, auto&& value) {
        use(R(std::forward<decltype(value)>(value)));
      });
      return;
    }
    auto run = worker_run<Sink>(no_op, {});
    while (const Batch* const batch = run.next())
      read_values<R>(*batch, [&](std::uint64_t /*index*/, R&& value) { use(std::move(value)); });
  }

  std::vector<R> values() {
    std::vector<R> all;
    if (Cursor<Range>::knows_size) reserve_results(all, *length_);
    if (job_.runs_here()) {
      each_value<ValuesSink<R>>([&](R&& value) { all.push_back(std::move(value)); });
      return all;
    }
    auto run = worker_run<ValuesSink<R>>(no_op, {});
    while (const Batch* const batch = run.next()) append_values(*batch, all);
    return all;
  }

  std::vector<Outcome<R>> outcomes() {
    std::vector<Outcome<R>> all;
    if (Cursor<Range>::knows_size) all.reserve(*length_);
    if (job_.runs_here()) {
      auto local = local_run<ValuesSink<R>>(no_op);
      for (bool more = true; more;) {
        try {
          more = local.next([&](std::uint64_t /*index*/, auto&&... value) {
            all.emplace_back(std::in_place, std::forward<decltype(value)>(value)...);
          });
        } catch (...) {
          if (!local.is_in_call()) throw;
          job_.advance(1);
          all.emplace_back(std::current_exception());
        }
      }
      return all;
    }
    auto run = worker_run<OutcomesSink<R>>(no_op, {.collects = true});
    while (const Batch* const batch = run.next()) append_outcomes(*batch, all);
    return all;
  }

  template <class Sink>
  void run_all(bool ordered) {
    if (job_.runs_here()) {
      auto local = local_run<Sink>(no_op);
      run_local(local, [](std::uint64_t /*index*/, auto&&... /*value*/) {});
      return;
    }
    auto run = worker_run<Sink>(no_op, {.ordered = ordered});
    while (const Batch* const batch = run.next())
      if (batch->failed()) read_values<void>(*batch, [](std::uint64_t /*index*/) {});
  }

  F& f_;
  Factory& factory_;
  Tuple arguments_;
  Cursor<Range> cursor_;
  std::optional<std::size_t> length_;
  MapJob job_;
};

template <class... Args>
inline constexpr bool collects = (is_collect<Args> || ...);

template <class S, class F, class Range, class Factory, class... Args>
auto plan_map(EngineCore& core, F& f, Range& items, Factory& factory, const Args&... args) {
  return MapPlan<S, F, Range, Factory, ArgumentTuple<Args...>>{
      core, f, items, factory, std::tuple_cat(pick_argument(args)...), options_of(args...)};
}

}  // namespace apalis::detail::engine
