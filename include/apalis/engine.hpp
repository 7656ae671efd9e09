// SPDX-License-Identifier: BSL-1.0
#pragma once

// Parallel map: the same program runs on processes, on threads, or serially.
//
//   apalis::Engine engine{apalis::Backend::processes};
//   std::vector<double> r = engine.map(f, items);              // in the order of the items
//   engine.map(f, items, apalis::batched(16), table, 5.0);     // f(item, table, 5.0)
//   double sum = engine.map_reduce(f, std::plus<>{}, 0.0, items);
//   for (double& x : engine.imap(f, items)) use(x);            // as they come, in order

#include <apalis/detail/engine/imap.hpp>
#include <apalis/detail/engine/map_job.hpp>
#include <apalis/detail/engine/map_plan.hpp>
#include <apalis/each.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/map_report.hpp>
#include <apalis/outcome.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

template <class R>
class TaskGroup;

/// The verbs of an Engine, and of one with a state in each worker (S; void: none).
///
/// Items: any input range or generator, read once, lazily, by the calling thread. `args`: further
/// arguments of every call, and options of this map (batched(), batch_size(), length(), retries(),
/// seeds(), collect, deterministic) in any order.
///
/// Callables without captures, function pointers, by_value() and those with a cereal function are
/// sent to workers that there are. All others are *carried*: workers for that map are forked when
/// it starts and have what was captured, by reference too, as it was then; changes don't come back.
///
/// **Throws** MapError for the first item that failed, in the order of the items; the rest is
/// cancelled. What the range throws, as it is. SystemError where no worker can be made.
template <class Self, class S>
class MapVerbs {
 public:
  /// f(item, args...) of all items, in order: std::vector<R>, or nothing. With `collect` among the
  /// arguments std::vector<Outcome<R>>: no item's failure ends the map.
  template <class F, detail::engine::Items Range, class... Args>
  auto map(F&& f, Range&& items, const Args&... args) const {
    return with_callable(f, [&](auto& callable) {
      auto plan = detail::engine::plan_map<S>(core(), callable, items, factory(), args...);
      return plan.template map<detail::engine::collects<Args...>>();
    });
  }

  /// The same, and the results are dropped: they need not be able to cross.
  template <class F, detail::engine::Items Range, class... Args>
  void for_each(F&& f, Range&& items, const Args&... args) const {
    static_assert(!detail::engine::collects<Args...>,
                  "apalis: collect goes with map(): results and failures side by side");
    with_callable(f, [&](auto& callable) {
      detail::engine::plan_map<S>(core(), callable, items, factory(), args...).for_each();
    });
  }

  /// f gives containers: all of their elements, in order, in one std::vector.
  template <class F, detail::engine::Items Range, class... Args>
  auto flat_map(F&& f, Range&& items, const Args&... args) const {
    static_assert(!detail::engine::collects<Args...>,
                  "apalis: collect goes with map(): results and failures side by side");
    return with_callable(f, [&](auto& callable) {
      return detail::engine::plan_map<S>(core(), callable, items, factory(), args...).flat_map();
    });
  }

  /// op(op(op(init, f(item 0)), f(item 1)), …), where workers combine what is side by side first:
  /// op has to be associative, and to take T and R alike. With `deterministic` among the arguments
  /// the groups are the same in each run.
  template <class F, class Op, class T, detail::engine::Items Range, class... Args>
  T map_reduce(F&& f, Op&& op, T init, Range&& items, const Args&... args) const {
    static_assert(!detail::engine::collects<Args...>,
                  "apalis: collect goes with map(): results and failures side by side");
    return with_callable(f, [&](auto& callable) {
      return with_callable(op, [&](auto& combine) {
        return detail::engine::plan_map<S>(core(), callable, items, factory(), args...)
            .map_reduce(combine, std::move(init));
      });
    });
  }

  /// A range of the results, made as it is read: in order, with a bounded number of batches under
  /// way. What it gives is valid until ++. Refers to lvalue items, owns rvalues; owns f and args.
  /// Its end, or break, cancels the rest.
  template <class F, detail::engine::Items Range, class... Args>
  [[nodiscard]] auto imap(F&& f, Range&& items, const Args&... args) const {
    static_assert(!detail::engine::collects<Args...>,
                  "apalis: collect goes with map(): results and failures side by side");
    using Factory = std::remove_reference_t<decltype(factory())>;
    return detail::engine::Imap<S, std::decay_t<F>, Range, Factory, std::decay_t<const Args&>...>{
        core_pointer(), factory(), true, std::forward<F>(f), std::forward<Range>(items), args...};
  }

  /// The same in the order in which they come.
  template <class F, detail::engine::Items Range, class... Args>
  [[nodiscard]] auto imap_unordered(F&& f, Range&& items, const Args&... args) const {
    static_assert(!detail::engine::collects<Args...>,
                  "apalis: collect goes with map(): results and failures side by side");
    using Factory = std::remove_reference_t<decltype(factory())>;
    return detail::engine::Imap<S, std::decay_t<F>, Range, Factory, std::decay_t<const Args&>...>{
        core_pointer(), factory(), false, std::forward<F>(f), std::forward<Range>(items), args...};
  }

  /// map().
  template <class F, detail::engine::Items Range, class... Args>
  auto operator()(F&& f, Range&& items, const Args&... args) const {
    return map(std::forward<F>(f), std::forward<Range>(items), args...);
  }

 protected:
  MapVerbs() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] const std::shared_ptr<detail::engine::EngineCore>& core_pointer() const {
    const auto& core = self().core_;
    if (core == nullptr) [[unlikely]]
      detail::engine::throw_moved_from();
    return core;
  }
  [[nodiscard]] detail::engine::EngineCore& core() const { return *core_pointer(); }
  [[nodiscard]] auto& factory() const noexcept { return self().factory_; }

  /// Functions become pointers; everything else stays where it is.
  template <class F, class Use>
  static decltype(auto) with_callable(F& f, Use use) {
    if constexpr (std::is_function_v<F>) {
      auto* pointer = &f;
      return use(pointer);
    } else {
      return use(f);
    }
  }
};

/// An Engine whose calls have a state of their own in each worker: f(S&, item, args...). It is made
/// by the factory when the worker first needs it, and ends with the worker.
///
/// **Threads:** as the Engine; where maps run in the caller (see EngineOptions::max_workers), one at
/// a time.
template <class S, class Factory>
class StatefulEngine : public MapVerbs<StatefulEngine<S, Factory>, S> {
 private:
  friend class Engine;
  friend class MapVerbs<StatefulEngine<S, Factory>, S>;

  StatefulEngine(std::shared_ptr<detail::engine::EngineCore> core, Factory factory)
      : core_(std::move(core)), factory_{std::move(factory),
                 std::make_shared<const detail::engine::StateName>(core_)} {}

  std::shared_ptr<detail::engine::EngineCore> core_;
  mutable detail::engine::StateFactory<S, Factory> factory_;
};

/// A pool of workers that maps run on.
///
/// **Owns** the workers, which are made when they are needed: none by the constructor. Moves, never
/// copies.
/// **Threads:** any number at once, except moving, closing and destroying; maps of several threads
/// share the workers. A map inside a map runs in the worker that it is called in.
/// **Fork:** works only in the process that made it; in a worker of another engine it runs in the
/// calling thread.
/// **Blocks:** every verb but imap() until its results are there.
/// **Peer death:** the items that the worker ran fail with WorkerDied (see retries()); others are
/// sent again. Another worker takes its place.
/// **Throws:** constructors Error for an unknown backend and for a number of workers below 1.
class Engine : public MapVerbs<Engine, void> {
 public:
  explicit Engine(EngineOptions options = {}) : Engine(default_backend(), std::move(options)) {}
  explicit Engine(Backend backend, EngineOptions options = {});
  /// See backend_named().
  explicit Engine(std::string_view backend, EngineOptions options = {})
      : Engine(backend_named(backend), std::move(options)) {}
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&&) noexcept = default;
  ~Engine();

  /// fn(args...) once in each worker, before its first call. Workers that there are end first. If it
  /// throws, maps do.
  template <class F, class... Args>
  void on_worker_start(F fn, Args... args) {
    add_start(bound(std::move(fn), std::move(args)...));
  }
  /// fn(args...) in each worker before it ends, unless it dies. Workers that there are end first, without it.
  /// What it throws in a process that ends as it is idle goes to EngineOptions::on_error or stderr,
  /// when the engine is next used.
  template <class F, class... Args>
  void on_worker_stop(F fn, Args... args) {
    add_stop(bound(std::move(fn), std::move(args)...));
  }

  /// The same engine where f takes the worker's S first, made by factory() there.
  template <class S, class Factory>
  [[nodiscard]] StatefulEngine<S, Factory> with_state(Factory factory) const {
    return {core_, std::move(factory)};
  }

  [[nodiscard]] Backend backend() const;
  /// How many workers there may be.
  [[nodiscard]] std::size_t max_workers() const;
  /// The processes of those that there are.
  [[nodiscard]] std::vector<pid_t> pids() const;

  /// Of the map that ended last: its time, its batches, what each worker did. Empty before the first.
  [[nodiscard]] MapReport report() const;

  /// Ends threads that were idle for EngineOptions::idle_timeout, and reaps processes, which end by
  /// themselves; each use of the engine does so.
  void end_idle_workers();
  /// Ends all workers; the next map makes new ones. Throws what on_worker_stop's callables threw.
  void close();

 private:
  friend class MapVerbs<Engine, void>;
  template <class R>
  friend class TaskGroup;

  [[nodiscard]] detail::engine::EngineCore& core() const;
  void add_start(std::function<void()> hook);
  void add_stop(std::function<void()> hook);

  template <class F, class... Args>
  static std::function<void()> bound(F fn, Args... args) {
    static_assert(std::is_invocable_v<F&, const Args&...>,
                  "apalis: on_worker_start() and on_worker_stop() take a callable and its "
                  "arguments, which arrive as const lvalues");
    return [fn = std::move(fn), ... args = std::move(args)]() mutable {
      std::invoke(fn, std::as_const(args)...);
    };
  }

  std::shared_ptr<detail::engine::EngineCore> core_;
  mutable detail::engine::NoFactory factory_;
};

}  // namespace apalis
