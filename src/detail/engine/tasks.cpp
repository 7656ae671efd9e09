// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/detail/engine/map_job.hpp>
#include <apalis/detail/engine/run.hpp>
#include <apalis/detail/engine/tasks.hpp>
#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <apalis/load_guard.hpp>
#include <deque>
#include <iterator>

namespace apalis::detail::engine {
namespace {

constexpr std::size_t most_told = 20;  // failures in one message: outcomes() has all of them

/// "4, 7 and 9 to 12"
std::string list_of(const std::vector<std::size_t>& indices) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t end = i + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    if (end - i > 2) {
      parts.push_back(fmt::format("{} to {}", indices[i], indices[end - 1]));
    } else {
      for (std::size_t k = i; k < end; ++k) parts.push_back(fmt::format("{}", indices[k]));
    }
    i = end;
  }
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

}  // namespace

// --- There and back ------------------------------------------------------------------------------

/// One task is one batch. None is sent to a worker that runs another one: that may run for long,
/// and others become idle meanwhile.
class Tasks::TaskRun final : public Run {
 public:
  explicit TaskRun(Pool& pool)
      : Run(pool, Pace::of_size(1),
            {.ordered = false, .collects = true, .isolates = true, .depth = 1}) {}
  TaskRun(const TaskRun&) = delete;
  TaskRun& operator=(const TaskRun&) = delete;
  ~TaskRun() override = default;

  void push(std::unique_ptr<Batch> task) {
    queue_.push_back(std::move(task));
    reopen();
  }
  /// Takes back the one that was pushed last, if it was not sent; whether it did.
  bool pop(const Batch* task) noexcept {
    if (queue_.empty() || queue_.back().get() != task) return false;
    queue_.pop_back();
    return true;
  }

  using Run::fill;
  using Run::fresh;
  using Run::pool;

 private:
  std::optional<std::size_t> left() const override { return queue_.size(); }
  std::unique_ptr<Batch> next_batch(std::size_t /*most*/, const actor::Link& /*link*/) override {
    if (queue_.empty()) return nullptr;
    auto task = std::move(queue_.front());
    queue_.pop_front();
    return task;
  }
  bool write_frame(wire::Buffer& /*message*/) const override { return false; }

  std::deque<std::unique_ptr<Batch>> queue_;
};

Tasks::Tasks(std::shared_ptr<EngineCore> core)
    : core_(std::move(core)),
      run_(core_->runs_here() ? nullptr : std::make_unique<TaskRun>(core_->pool())) {}

Tasks::~Tasks() = default;

std::unique_ptr<Batch> Tasks::begin(const wire::Entry& entry, const void* code,
                                    std::shared_ptr<void> callable) {
  check_usable();
  if (callable != nullptr && run_ != nullptr && core_->backend() == Backend::processes)
    throw Error(fmt::format(
        "apalis: TaskGroup::run() can't send a callable with captures to worker processes that "
        "exist already: pass what it captures as arguments of run(), wrap it in apalis::by_value() "
        "if it is trivially copyable and none of it points into this process, or use "
        "Engine::map(), "
        "which forks workers that have the captures (the callable: {})",
        entry.name));
  auto task = run_ != nullptr ? run_->fresh() : std::make_unique<Batch>();
  begin_message(*task, entry, code);
  task->callable = std::move(callable);
  task->count = 1;
  return task;
}

std::size_t Tasks::add(std::unique_ptr<Batch> task) {
  const Batch* const added = task.get();
  const auto index = runs_.size();
  runs_.push_back({task->entry, false});
  try {
    run_->push(std::move(task));
  } catch (...) {
    runs_.pop_back();
    throw;
  }
  try {
    run_->fill();
  } catch (...) {
    if (!run_->pop(added)) return index;  // sent: whatever it was comes again in get()
    runs_.pop_back();
    throw;
  }
  return index;
}

std::shared_ptr<Seat> Tasks::start_here() {
  return core_->seat();
}

std::size_t Tasks::note_here(const wire::Entry& entry) {
  runs_.push_back({&entry, true});
  return done_++;
}

Batch* Tasks::next(actor::Deadline deadline) {
  if (run_ == nullptr) return nullptr;
  Batch* const task = run_->next(deadline);
  if (task == nullptr) return nullptr;
  runs_[task->first].done = true;
  ++done_;
  return task;
}

std::exception_ptr Tasks::failure(const Batch& task) {
  if (task.error != nullptr) return task.error;
  if (task.reply.failed == 0) return nullptr;
  wire::Reader reader = task.results();
  if (wire::read_status(reader) != wire::CallStatus::failed) wire::throw_bad_status();
  return wire::read_failure(reader, task.state->source()->pid());
}

std::vector<std::size_t> Tasks::missing() const {
  std::vector<std::size_t> indices;
  if (done_ == runs_.size()) return indices;
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (!runs_[i].done) indices.push_back(i);
  return indices;
}

// --- Its end -------------------------------------------------------------------------------------

void Tasks::check_usable() const {
  if (finished_)
    throw Error(
        "apalis: this task group has finished, and its results were handed out: make "
        "another one");
  if (run_ != nullptr && !run_->pool().is_here())
    throw Error("apalis: this task group belongs to the process that made it, not to its fork");
}

void Tasks::finish() noexcept {
  note_work();
  finished_ = true;
  run_.reset();
}

/// So that the next group's guard does not take our own work for that of others.
void Tasks::note_work() noexcept {
  if (run_ == nullptr || core_->backend() != Backend::processes) return;
  std::chrono::nanoseconds busy{0};
  for (const auto& counts : run_->counts()) busy += counts.busy;
  try {
    core_->note_work(std::chrono::duration<double>(busy).count(), begun_, actor::Clock::now());
  } catch (const std::exception& error) {
    sys::log(LogLevel::warning,
             fmt::format("apalis: at the end of a task group: {}", error.what()));
  }
}

void Tasks::throw_timed_out(actor::Clock::duration waited) const {
  const auto indices = missing();
  throw TimedOut(fmt::format(
      "apalis: {} of {} runs of a task group have not ended after {:.3g} s: {} {}; get() may be "
      "called again",
      indices.size(), runs_.size(), std::chrono::duration<double>(waited).count(),
      indices.size() == 1 ? "run" : "runs", list_of(indices)));
}

std::string Tasks::describe(const std::vector<Failure>& failures) const {
  std::string text =
      fmt::format("apalis: {} of {} runs of a task group failed:", failures.size(), runs_.size());
  const auto told = std::min(failures.size(), most_told);
  for (std::size_t i = 0; i < told; ++i) {
    const auto& [index, error] = failures[i];
    text += fmt::format("{} run {}, {}: {}", i == 0 ? "" : ";", index, runs_[index].entry->name,
                        actor::describe(error));
  }
  if (told < failures.size()) {
    std::vector<std::size_t> others;
    for (auto i = told; i < failures.size(); ++i) others.push_back(failures[i].first);
    text += fmt::format("; and runs {}", list_of(others));
  }
  return text;
}

std::unique_ptr<Tasks> make_tasks(std::shared_ptr<EngineCore> core,
                                  std::optional<double> max_load_average) {
  if (core == nullptr) throw_moved_from();
  if (max_load_average && machine_is_busy(*max_load_average)) return nullptr;
  return std::make_unique<Tasks>(std::move(core));
}

void throw_no_group() {
  throw Error("apalis: this task group was moved from");
}

}  // namespace apalis::detail::engine
