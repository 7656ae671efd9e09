// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/processes.hpp>
#include <apalis/backend/registry.hpp>
#include <apalis/backend/worker_server.hpp>
#include <apalis/backend/worker_source.hpp>
#include <apalis/detail/actor/nursery.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/worker.hpp>
#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/error.hpp>
#include <atomic>
#include <limits>
#include <memory>
#include <utility>

namespace apalis::detail::backend {
namespace {

using actor::Nursery;
using actor::SpawnOrder;

constexpr std::chrono::seconds spawn_limit{10};  // a fork takes milliseconds at the worst

constexpr auto thread_advice =
    "apalis: this process has threads, and a worker forked from it has none of them but all the "
    "locks that they held: call apalis::ForkServer::start() before the first thread, or make "
    "handlers before it, or set Options::fork_in_threads";

bool is_from(const sys::ModuleMap& modules, const void* code) noexcept {
  return modules.find(code).contains(code);
}

}  // namespace

void warn_of_threads() noexcept {
  static constinit sys::PerProcess<std::atomic<bool>> told;
  if (!told.get().exchange(true)) sys::log(LogLevel::warning, thread_advice);
}

ServerOrder order_from_server(const Options& options, const actor::Maker& maker) {
  ServerOrder order{.server = WorkerServer::current(), .recipe = {}};
  if (order.server == nullptr) return order;
  const auto& hook = options.on_worker_start;
  const char* obstacle = nullptr;
  if (hook && hook.target<void (*)()>() == nullptr) {
    obstacle = "its on_worker_start is no plain function (write +[]{ ... })";
  } else if (!is_from(*order.server->modules(), reinterpret_cast<const void*>(maker.destroy))) {
    obstacle = "its code was loaded after the server was started";
  } else if (!order.server->knows(options.backend)) {
    obstacle = "its backend was registered after the server was started";
  } else if (!maker.write(order.recipe)) {
    obstacle =
        "its object, or what it is made from, has no serialisation (give it a cereal serialize "
        "function, or make it in place from arguments that have one)";
  }
  if (obstacle == nullptr) return order;
  if (sys::has_threads())
    throw Error(fmt::format("apalis: handler '{}' can't be made: {}, so the fork server can't make "
                            "its worker; and this process has threads, so it must not be forked",
                            options.name, obstacle));
  return {};
}

process::LaunchPlan WorkerSource::plan() const {
  return {.title = "apalis: " + options_.name, .cpu = options_.cpu};
}

bool WorkerSource::replaces() const noexcept {
  return options_.restart.max > 0 || options_.max_calls_per_worker > 0;
}

std::uint64_t WorkerSource::max_calls() const noexcept {
  return options_.max_calls_per_worker != 0 ? options_.max_calls_per_worker
                                            : std::numeric_limits<std::uint64_t>::max();
}

std::shared_ptr<const sys::ModuleMap> WorkerSource::modules(const sys::ForkLock& held) const {
  return order_.server != nullptr ? order_.server->modules() : sys::loaded_modules(held);
}

process::Child WorkerSource::first(actor::Maker& maker, const sys::ForkLock& held) {
  destroy_ = maker.destroy;
  of_many_ = maker.of_many;
  worker_ = maker.worker;
  idle_limit_ = maker.idle_limit;
  last_words_ = maker.last_words;
  if (order_.server != nullptr) {
    auto child = next(0);
    if (!replaces()) order_ = {};  // the server may end before this handler does
    return child;
  }
  if (options_.fork_in_threads != ForkInThreads::allow && sys::has_threads()) {
    if (options_.fork_in_threads == ForkInThreads::refuse) throw Error(thread_advice);
    forked_threads_ = true;
  }
  const actor::StartHooks hooks{preparation(options_.backend), &options_.on_worker_start};
  actor::Worker worker{
      region_, {.slice = slice_, .max_calls = max_calls(), .generation = 0, .hooks = hooks}, maker};
  auto child = process::launch(plan(), worker, held);
  if (!replaces()) return child;
  try {
    actor::NurseryMaker nursery{region_, &maker, hooks};
    nursery_ = ProcessLink::open(
        {.name = options_.name + " (spare)", .fork_in_threads = ForkInThreads::allow}, nursery,
        ProcessLink::Origin::here);
  } catch (...) {
    child.kill();
    throw;
  }
  return child;
}

bool WorkerSource::has_next() const noexcept {
  return nursery_ != nullptr || (order_.server != nullptr && order_.server->is_open());
}

process::Child WorkerSource::next(std::uint32_t generation) {
  if (order_.server == nullptr) return spawn(*nursery_, generation);
  const auto turn = order_.server->turn();
  return spawn(order_.server->link(), generation);
}

process::Child WorkerSource::spawn(ProcessLink& nursery, std::uint32_t generation) {
  SpawnOrder order{.slice = slice_,
                   .generation = generation,
                   .max_calls = max_calls(),
                   .worker = worker_,
                   .of_many = of_many_,
                   .idle_limit = idle_limit_.count(),
                   .last_words = reinterpret_cast<std::uint64_t>(last_words_)};
  if (order_.server != nullptr) {
    order.make = reinterpret_cast<std::uint64_t>(order_.recipe.make);
    order.destroy = reinterpret_cast<std::uint64_t>(destroy_);
    if (const auto& hook = options_.on_worker_start)
      order.on_start = reinterpret_cast<std::uint64_t>(*hook.target<void (*)()>());
    order.prepare = reinterpret_cast<std::uint64_t>(preparation(options_.backend));
  }
  const auto plan = this->plan();
  wire::Buffer message;
  wire::encode_call_v<Nursery, &Nursery::spawn>(message, order, plan.title,
                                                order_.recipe.arguments.bytes());
  const pid_t pid = spawned_pid(nursery, message);
  if (pid < 0)
    sys::throw_errno(-pid, "cannot fork a worker", "see ulimit -u and the cgroup's pids.max");
  return process::adopt(pid, plan);
}

/// A nursery's answer. If it dies over that, or does not answer, it leaves no worker behind.
pid_t WorkerSource::spawned_pid(ProcessLink& nursery, const wire::Buffer& message) {
  auto state = std::make_unique<actor::ReplyState<std::int32_t>>();
  wire::Reader reader{message.bytes()};
  state->entry = wire::read_entry(reader);
  state->attach(nursery);
  auto& spawned = nursery.spawned();
  spawned.store(0, std::memory_order_relaxed);
  nursery.submit(message, *state);
  const bool answered = nursery.wait(*state, actor::deadline_after(spawn_limit));
  try {
    if (answered) return state->value();
    nursery.kill();
    throw TimedOut(fmt::format("apalis: '{}' (pid {}) makes no worker for '{}'",
                               nursery.options().name, nursery.pid(), options_.name));
  } catch (...) {
    // It may have ended between its fork and its word about it.
    if (const pid_t stray = spawned.load(std::memory_order_relaxed); stray > 0)
      process::Child{stray, sys::open_pidfd(stray)}.kill();
    throw;
  }
}

void WorkerSource::close() noexcept {
  order_ = {};
  if (nursery_ == nullptr) return;
  // Killed, for the object that it keeps was never used: it must not be destroyed there either.
  try {
    nursery_->kill();
  } catch (...) {  // no memory for an obituary that nobody reads
  }
  nursery_->shut(false, actor::deadline_after(nursery_->options().close_timeout));
  std::exchange(nursery_, nullptr)->release();
}

}  // namespace apalis::detail::backend
