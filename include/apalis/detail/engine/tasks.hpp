// SPDX-License-Identifier: BSL-1.0
#pragma once

// The runs of a TaskGroup, whatever they return: no templates.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/engine/engine_batch.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace apalis::detail::engine {

class EngineCore;
class Seat;

/// **Owns** the runs that have no outcome yet, and keeps the engine's workers. Its end cancels what
/// was not begun.
/// **Threads:** one at a time.
class Tasks {
 public:
  explicit Tasks(std::shared_ptr<EngineCore> core);
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;
  ~Tasks();

  /// Whether the caller runs them itself: by begin(), start_here(), note_here().
  [[nodiscard]] bool runs_here() const noexcept { return run_ == nullptr; }

  /// A message to be written on, for add(). `callable`: what it refers to, if the callable can't be
  /// sent; `code`: what it leads to. Throws Error where that is refused, and for a finished group.
  [[nodiscard]] std::unique_ptr<Batch> begin(const wire::Entry& entry, const void* code,
                                             std::shared_ptr<void> callable);
  /// Its index; Batch::first tells it, too. It starts if a worker is idle. As if it had not been
  /// called if it throws: SystemError where no worker can be made.
  std::size_t add(std::unique_ptr<Batch> task);

  /// What the workers' hooks are for the calling thread. Throws what they do.
  [[nodiscard]] std::shared_ptr<Seat> start_here();
  std::size_t note_here(const wire::Entry& entry);

  /// The next one that is done, until the next call; null once there is none, or at the deadline.
  Batch* next(actor::Deadline deadline);
  /// Why it has no result; null if it has one.
  [[nodiscard]] static std::exception_ptr failure(const Batch& task);

  [[nodiscard]] std::size_t size() const noexcept { return runs_.size(); }
  [[nodiscard]] std::size_t done() const noexcept { return done_; }
  [[nodiscard]] std::vector<std::size_t> missing() const;

  /// Throws Error if the group has finished, or belongs to another process.
  void check_usable() const;
  /// No more of them.
  void finish() noexcept;
  [[nodiscard]] bool is_finished() const noexcept { return finished_; }

  [[noreturn]] void throw_timed_out(actor::Clock::duration waited) const;
  using Failure = std::pair<std::size_t, std::exception_ptr>;
  /// One sentence for all of them.
  [[nodiscard]] std::string describe(const std::vector<Failure>& failures) const;

 private:
  class TaskRun;
  struct Started {
    const wire::Entry* entry;
    bool done;
  };

  void note_work() noexcept;

  std::shared_ptr<EngineCore> core_;
  std::unique_ptr<TaskRun> run_;  // null where the caller runs them
  std::vector<Started> runs_;
  std::size_t done_ = 0;
  bool finished_ = false;
  actor::Deadline begun_ = actor::Clock::now();
};

/// Null if the limit is set and others use more of the machine.
[[nodiscard]] std::unique_ptr<Tasks> make_tasks(std::shared_ptr<EngineCore> core,
                                                std::optional<double> max_load_average);

[[noreturn]] void throw_no_group();

}  // namespace apalis::detail::engine
