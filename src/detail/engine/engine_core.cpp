// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/registry.hpp>
#include <apalis/cpu_count.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/detail/engine/map_run.hpp>
#include <apalis/error.hpp>
#include <apalis/load_guard.hpp>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <system_error>
#include <utility>

namespace apalis::detail::engine {
namespace {

// Of a map_reduce() with the same result in each run: what it does not depend on is the workers.
constexpr std::size_t deterministic_batches = 1024;
constexpr std::size_t deterministic_size = 256;  // of a range of unknown length

std::size_t checked(long long workers, const char* source) {
  constexpr long long most = 4096;
  if (workers < 1 || workers > most)
    throw Error(fmt::format("apalis: {} has to be a number from 1 to {}, not {}", source, most,
                            workers));
  return static_cast<std::size_t>(workers);
}

}  // namespace

std::size_t worker_count(const EngineOptions& options) {
  if (options.max_workers) return checked(*options.max_workers, "EngineOptions::max_workers");
  // NOLINTNEXTLINE(concurrency-mt-unsafe): as in default_backend()
  const char* const text = std::getenv("APALIS_WORKERS");
  if (text == nullptr || *text == '\0') return static_cast<std::size_t>(cpu_count());
  const std::string_view digits = text;
  long long number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size())
    throw Error(fmt::format("apalis: APALIS_WORKERS is '{}', which is no number", digits));
  return checked(number, "APALIS_WORKERS");
}

EngineCore::EngineCore(Backend backend, EngineOptions options)
    : backend_(backend),
      options_(std::move(options)),
      workers_(worker_count(options_)),
      pool_(std::make_unique<Pool>(backend_, options_, workers_)) {}

EngineCore::~EngineCore() {
  if (!pool_->is_here()) return;
  try {
    stop_here();
  } catch (...) {
    actor::report_lost(options_.on_error, std::current_exception());
  }
}

bool EngineCore::runs_here() const noexcept {
  return backend::needs_no_worker(backend_, workers_) || inside_batch();
}

std::shared_ptr<Seat> EngineCore::seat() {
  if (inside_batch()) return std::make_shared<Seat>(nullptr);
  const std::lock_guard lock{mutex_};
  if (!is_started_) {
    backend::prepare_caller(backend_);
    for (const auto& hook : hooks_.start) hook();
    is_started_ = true;
  }
  if (seat_ == nullptr) seat_ = std::make_shared<Seat>(nullptr);
  return seat_;
}

Pool& EngineCore::pool() {
  if (!pool_->is_here()) [[unlikely]]
    throw Error("apalis: this engine belongs to the process that made it, not to its fork");
  pool_->look_after_orphans();
  pool_->end_idle();
  return *pool_;
}

std::unique_ptr<Pool> EngineCore::make_carried_pool() const {
  auto options = options_;
  options.idle_timeout = {};  // another worker, forked later, would not be the same
  auto pool = std::make_unique<Pool>(backend_, std::move(options), workers_);
  pool->set_hooks(hooks_);
  return pool;
}

Pace EngineCore::pace(const MapOptions& options, std::optional<std::size_t> length,
                      bool are_small) const {
  if (options.batch_size) return Pace::of_size(options.batch_size->items);
  if (options.batched) {
    if (!length)
      throw Error("apalis: batched() of items whose number is not known: say length(n) as well, or "
                  "batch_size(n) instead");
    const auto count = options.batched->count != 0 ? options.batched->count : workers_;
    return Pace::of_batches(count, *length);
  }
  if (options.deterministic)
    return Pace::of_size(length ? *length / deterministic_batches + 1 : deterministic_size);
  return Pace{workers_, are_small};
}

void EngineCore::add_start(std::function<void()> hook) {
  auto next = hooks_;
  next.start.push_back(hook);
  pool().set_hooks(next);
  if (is_started_) hook();
  hooks_ = std::move(next);
}

void EngineCore::add_stop(std::function<void()> hook) {
  auto next = hooks_;
  next.stop.push_back(std::move(hook));
  pool().set_hooks(next);
  hooks_ = std::move(next);
}

void EngineCore::end_idle() { pool().end_idle(); }

void EngineCore::close() {
  pool().close();
  stop_here();
}

/// The end of the caller as a worker.
void EngineCore::stop_here() {
  {
    const std::lock_guard lock{mutex_};
    seat_.reset();
    if (!std::exchange(is_started_, false)) return;
  }
  for (const auto& hook : hooks_.stop) hook();
}

void EngineCore::drop_state(std::uint64_t id) noexcept {
  if (!pool_->is_here()) return;
  pool_->drop_state(id);
  const std::lock_guard lock{mutex_};
  if (seat_ != nullptr) seat_->drop_state(id);
}

void EngineCore::note_work(double busy_seconds, MapWatch::Clock::time_point from,
                           MapWatch::Clock::time_point to) {
  constexpr double worth_noting = 1e-3;  // the load average knows no less
  {
    const std::lock_guard lock{mutex_};
    busy_seconds += std::exchange(unnoted_seconds_, 0);
    if (busy_seconds < worth_noting) unnoted_seconds_ = busy_seconds;
  }
  if (busy_seconds >= worth_noting) note_own_work(busy_seconds, from, to);
}

MapReport EngineCore::report() const {
  const std::lock_guard lock{mutex_};
  return report_;
}

void throw_item_failed(std::uint64_t index) {
  auto cause = std::current_exception();
  throw MapError(fmt::format("apalis: item {} of the map failed: {}", index,
                             actor::describe(cause)),
                 index, index, cause);
}

}  // namespace apalis::detail::engine
