// SPDX-License-Identifier: BSL-1.0
#pragma once

// Some calls side by side, on the workers of an Engine.
//
//   if (auto group = apalis::TaskGroup<std::string>::make(engine, {.max_load_average = 0.8})) {
//     for (auto [first, last] : apalis::ranges(users.size())) group->run(render, first, last);
//     std::vector<std::string> parts = group->get();        // in the order of the runs
//   } else {
//     render_serially(users);                               // the machine is busy
//   }
//
// What the workers keep from one group to the next, such as a connection, is made by
//
//   engine.on_worker_start([] { connection.emplace("db.example.org"); });    // once in each worker
//   group->run([](int id) { return connection->name_of(id); }, 7);

#include <apalis/detail/engine/task_thunk.hpp>
#include <apalis/detail/engine/tasks.hpp>
#include <apalis/engine.hpp>
#include <apalis/error.hpp>
#include <apalis/outcome.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

struct TaskGroupOptions {
  /// make() gives no group if others use more than that of the machine: see machine_is_busy(). For
  /// one core, so that 1 is a machine that has no core left. Unset: never.
  std::optional<double> max_load_average = std::nullopt;
};

/// Tells run() how arguments and results become bytes.
template <class Format>
struct Serialization {};
template <class Format>
inline constexpr Serialization<Format> serialization{};

/// A number of runs on an engine's workers, and their results, of type R.
///
/// **Owns** the runs, and keeps the engine's workers. Moves, never copies.
/// **Threads:** one at a time; different groups of one engine on different threads.
/// **Fork:** works only in the process that made it; a fork's copy destructs as nothing.
/// **Blocks:** get() until all have ended, or up to its limit. run() to make a worker, while it
/// sends more than the buffers take, and, where the engine's maps run in the caller (see
/// EngineOptions::max_workers), until f has returned. The destructor: with threads, until what has
/// begun has ended.
/// **Peer death:** the run that the worker was at fails with WorkerDied; what it had not begun goes
/// to others. Another worker takes its place.
/// **Throws:** make() Error for a limit below 0. run() and get() Error once the group has finished,
/// SystemError where no worker can be made (the group is as it was).
/// **Ordering:** runs begin in their order; they may end in any.
template <class R>
class TaskGroup {
  static_assert(!std::is_reference_v<R> && !std::is_const_v<R>,
                "apalis: TaskGroup<R> needs a plain type of results, or void");

 public:
  /// Empty if options.max_load_average is exceeded: do the work without it then.
  [[nodiscard]] static std::optional<TaskGroup> make(const Engine& engine,
                                                     const TaskGroupOptions& options = {}) {
    auto tasks = detail::engine::make_tasks(engine.core_, options.max_load_average);
    if (tasks == nullptr) return std::nullopt;
    return TaskGroup{std::move(tasks)};
  }

  TaskGroup(TaskGroup&&) noexcept = default;
  TaskGroup& operator=(TaskGroup&&) noexcept = default;
  /// Cancels what was not begun; what runs is asked to stop (this_worker().stop_token()). While it
  /// does not, other groups use the other workers.
  ~TaskGroup() = default;

  /// f(args...) at once if a worker is idle, else when one is and this thread is in run() or get().
  /// Its result becomes an R. There may be any number of them.
  ///
  /// Callables with captures, and std::functions, run on threads and serially. To processes go
  /// those without captures, function pointers, by_value() and those with cereal functions; Error
  /// for others, which says what to do.
  template <class F, class... Args>
  void run(F&& f, Args&&... args) {
    using Called = detail::engine::Callee<std::decay_t<F>>;
    constexpr auto possible = detail::engine::can_run<R, Called, Args...>();
    detail::wire::say(possible);
    if constexpr (possible) {
      using Parameters = typename detail::engine::TaskShape<Called, Args...>::Parameters;
      start<detail::engine::WireCodec<Parameters>>(std::forward<F>(f), std::forward<Args>(args)...);
    }
  }

  /// The same where Format makes strings of the arguments, of the types of f's parameters, and of
  /// the result: for types with other functions of their own, or to read what goes there. See
  /// <apalis/serialization.hpp>.
  template <class Format, class F, class... Args>
  void run(Serialization<Format> /*serialization*/, F&& f, Args&&... args) {
    using Called = detail::engine::Callee<std::decay_t<F>>;
    constexpr auto possible = detail::engine::can_run_as_text<R, Called, Args...>();
    detail::wire::say(possible);
    if constexpr (possible) {
      using Parameters = typename detail::engine::TaskShape<Called, Args...>::Parameters;
      using Codec = detail::engine::TextCodec<Format, Parameters>;
      start<Codec>(std::forward<F>(f), std::forward<Args>(args)...);
    }
  }

  /// Waits for all runs: std::vector<R> in their order, or nothing. The group has finished then.
  ///
  /// Throws BatchError if any failed, which names them, their calls and causes; outcomes<R>() has
  /// those that did not.
  auto get() { return get(detail::actor::no_deadline); }
  /// The same for so long: then TimedOut, which says which are missing. get() may be called again,
  /// run() too.
  template <class Rep, class Period>
  auto get(std::chrono::duration<Rep, Period> limit) {
    return get(detail::actor::deadline_after(limit));
  }

  /// How many runs there are.
  [[nodiscard]] std::size_t size() const { return tasks().size(); }
  /// Indices of the runs that had not ended when run() or get() last looked.
  [[nodiscard]] std::vector<std::size_t> missing() const { return tasks().missing(); }
  /// Whether get() has given what there was, or thrown BatchError.
  [[nodiscard]] bool finished() const { return tasks().is_finished(); }

 private:
  using Slot = std::optional<Outcome<R>>;
  using Decoder = R (*)(detail::wire::Reader&);

  explicit TaskGroup(std::unique_ptr<detail::engine::Tasks> tasks) noexcept
      : tasks_(std::move(tasks)) {}

  [[nodiscard]] detail::engine::Tasks& tasks() const {
    if (tasks_ == nullptr) [[unlikely]]
      detail::engine::throw_no_group();
    return *tasks_;
  }

  /// Of run `index`.
  Slot& slot(std::size_t index) {
    if (index >= slots_.size()) slots_.resize(index + 1);
    return slots_[index];
  }

  template <class Codec, class F, class... Args>
  void start(F&& f, Args&&... args) {
    using Plain = std::decay_t<F>;
    using Target = detail::engine::MapTarget<Plain>;
    using Thunk = detail::engine::TaskThunk<R, Target, Codec>;
    auto& tasks = this->tasks();
    std::unique_ptr<detail::engine::Batch> task;
    if constexpr (detail::engine::is_sent<Plain>) {
      const Plain& callable = f;
      task = tasks.begin(Thunk::entry, detail::wire::code_address<void>(callable), nullptr);
      detail::engine::write_callable(task->message, callable);
    } else {
      auto kept = std::make_shared<Plain>(std::forward<F>(f));
      task = tasks.begin(Thunk::entry, nullptr, kept);
      detail::engine::write_callable(task->message, *kept);
    }
    Codec::write(task->message, std::forward<Args>(args)...);
    if (tasks.runs_here()) return run_here<Thunk>(*task);
    if constexpr (Codec::is_wire || std::is_void_v<R>) {
      (void)tasks.add(std::move(task));
    } else {
      decoders_.resize(tasks.size() + 1);
      const auto index = tasks.add(std::move(task));
      decoders_[index] = &Codec::template decode<R>;
    }
    while (auto* const done = tasks.next(detail::actor::at_once)) take(*done);
  }

  template <class Thunk>
  void run_here(detail::engine::Batch& task) {
    const auto seat = tasks_->start_here();
    auto& slot = this->slot(tasks_->size());
    try {
      const detail::engine::InsideBatch inside;
      detail::wire::Reader message{task.message.bytes()};
      (void)message.take(detail::engine::message_header);
      Thunk::call(message, [&](auto&&... returned) {
        slot.emplace(std::in_place, std::forward<decltype(returned)>(returned)...);
      });
    } catch (...) {
      slot.emplace(std::current_exception());
    }
    (void)tasks_->note_here(Thunk::entry);
  }

  void take(const detail::engine::Batch& task) {
    auto& slot = this->slot(task.first);
    try {
      if (auto error = detail::engine::Tasks::failure(task)) {
        slot.emplace(std::move(error));
      } else if constexpr (std::is_void_v<R>) {
        slot.emplace(std::in_place);
      } else {
        detail::wire::Reader reader = task.results();
        slot.emplace(std::in_place, decode(task.first, reader));
      }
    } catch (...) {
      slot.emplace(std::current_exception());
    }
  }

  /// The result of run `index`.
  R decode(std::size_t index, detail::wire::Reader& reader) const {
    if (index < decoders_.size() && decoders_[index] != nullptr) return decoders_[index](reader);
    return detail::wire::decode<R>(reader);
  }

  auto get(detail::actor::Deadline deadline) {
    auto& tasks = this->tasks();
    tasks.check_usable();
    const auto from = detail::actor::Clock::now();
    while (auto* const done = tasks.next(deadline)) take(*done);
    if (tasks.done() != tasks.size()) tasks.throw_timed_out(detail::actor::Clock::now() - from);
    tasks.finish();
    auto slots = std::exchange(slots_, {});
    throw_if_failed(slots);
    if constexpr (!std::is_void_v<R>) {
      std::vector<R> values;
      values.reserve(slots.size());
      for (auto& slot : slots) values.push_back(std::move(*slot).value());
      return values;
    }
  }

  void throw_if_failed(std::vector<Slot>& slots) {
    std::vector<detail::engine::Tasks::Failure> failures;
    for (std::size_t i = 0; i < slots.size(); ++i)
      if (!*slots[i]) failures.emplace_back(i, slots[i]->error());
    if (failures.empty()) return;
    std::vector<Outcome<R>> outcomes;
    outcomes.reserve(slots.size());
    for (auto& slot : slots) outcomes.push_back(std::move(*slot));
    throw BatchError(tasks_->describe(failures), failures.size(), std::move(outcomes));
  }

  std::unique_ptr<detail::engine::Tasks> tasks_;
  std::vector<Slot> slots_;
  std::vector<Decoder> decoders_;  // null for the library's own, as are those beyond
};

}  // namespace apalis
