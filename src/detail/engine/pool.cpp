// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/backend.hpp>
#include <apalis/detail/actor/makers.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/engine/pool.hpp>
#include <apalis/detail/engine/run_scratch.hpp>
#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/sys/recent_time.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/error.hpp>
#include <atomic>
#include <mutex>
#include <string>
#include <utility>

namespace apalis::detail::engine {
namespace {

using Clock = actor::Clock;

// A worker that was used that recently is not asked whether it lives: to ask costs as much as a call,
// and whoever sends it something learns of its death as well.
constexpr std::chrono::milliseconds recently{2};

constexpr std::chrono::hours a_century{100 * 365 * 24};  // far from overflowing the clock

using StopState = std::unique_ptr<actor::ReplyState<void>, actor::Abandon>;

void run_stop_hooks(void* seat, wire::Reader& /*arguments*/, wire::Buffer& /*result*/) {
  static_cast<Seat*>(seat)->stop();
}
constexpr wire::Entry stop_entry{&run_stop_hooks, "on_worker_stop"};

void drop_state_there(void* seat, wire::Reader& arguments, wire::Buffer& /*result*/) {
  std::uint64_t id = 0;
  arguments.read(&id, sizeof id);
  static_cast<Seat*>(seat)->drop_state(id);
}
constexpr wire::Entry drop_state_entry{&drop_state_there, "the end of a state"};

/// Of what a worker's end can't throw. One that died with nothing to do costs nothing: whoever needs
/// it makes another one.
void report(const EngineOptions& options, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied& died) {
    sys::log(LogLevel::info, std::string(died.what()) + "; another one takes its place");
  } catch (...) {
    actor::report_lost(options.on_error, error);
  }
}

actor::Link* open_link(Backend backend, const EngineOptions& options, std::uint32_t index,
                       std::uint32_t most, const std::shared_ptr<const Hooks>& hooks) {
  Options own;
  own.name = fmt::format("{} (worker {} of {})", options.name, index, most);
  own.backend = backend;
  own.close_timeout = options.close_timeout;
  own.on_error = [options](const std::exception_ptr& error) { report(options, error); };
  own.fork_in_threads = options.fork_in_threads;
  own.on_worker_exit = options.on_worker_exit;
  if (!hooks->start.empty())
    own.on_worker_start = [hooks] {
      for (const auto& hook : hooks->start) hook();
    };
  actor::InPlaceMaker<Seat, const std::shared_ptr<const Hooks>&> maker{hooks};
  maker.idle_limit = options.idle_timeout;
  if (!hooks->stop.empty()) maker.last_words = &stop_entry;
  return backend::open_link(own, maker);
}

}  // namespace

struct Pool::Core {
  struct Slot {
    LinkPointer link;
    std::atomic<const actor::Link*> open{nullptr};  // what `link` has, to be read without the mutex
    std::atomic<int> load{0};
    std::atomic<int> orphans{0};
    std::atomic<Clock::rep> idle_since{0};
  };

  Core(Backend b, EngineOptions o, std::size_t most)
      : backend(b), options(bounded(std::move(o))), slots(most) {}

  static EngineOptions bounded(EngineOptions options) {
    options.idle_timeout = std::min<std::chrono::milliseconds>(options.idle_timeout, a_century);
    return options;
  }

  StopState ask_to_stop(actor::Link& link) const;
  void end(std::vector<LinkPointer> links, std::vector<std::exception_ptr>& failures);
  std::vector<LinkPointer> take(bool idle_only);
  [[nodiscard]] bool is_idle(const Slot& slot) const;

  const Backend backend;
  const EngineOptions options;
  const std::uint64_t stamp = sys::process_stamp();
  mutable std::mutex mutex;  // of the links, leavers and hooks
  std::vector<Slot> slots;
  std::vector<LinkPointer> leavers;  // that run their stop hooks before they end by themselves
  std::shared_ptr<const Hooks> hooks = std::make_shared<const Hooks>();
  std::atomic<Clock::rep> looked{0};  // for idle workers

  struct Orphan {
    std::uint32_t index;
    std::unique_ptr<actor::State, actor::Abandon> batch;
  };
  std::mutex scratch_mutex;
  std::unique_ptr<RunScratch> scratch;

  std::mutex orphans_mutex;
  std::vector<Orphan> orphans;
  std::atomic<int> orphan_count{0};
};

Pool::Pool(Backend backend, EngineOptions options, std::size_t most)
    : core_(std::make_unique<Core>(backend, std::move(options), most)) {}

Pool::~Pool() {
  if (!is_here()) {
    // A fork's copy: the links are the parent's, and so is their memory.
    (void)core_.release();
    return;
  }
  try {
    close();
  } catch (...) {
    report(core_->options, std::current_exception());
  }
}

std::uint32_t Pool::most() const noexcept { return static_cast<std::uint32_t>(core_->slots.size()); }
Backend Pool::backend() const noexcept { return core_->backend; }
bool Pool::is_here() const noexcept { return core_->stamp == sys::process_stamp(); }

LinkPointer Pool::link(std::uint32_t index) {
  auto& slot = core_->slots[index];
  std::unique_lock lock{core_->mutex};
  const Clock::time_point idle_since{Clock::duration{slot.idle_since}};
  if (slot.link.get() != nullptr &&
      (slot.link->leaves() || sys::recent_time() - idle_since > recently)) {
    const LinkPointer known = slot.link;
    lock.unlock();
    lose_if_ended(index, known);
    lock.lock();
  }
  if (slot.link.get() == nullptr) {
    slot.link =
        LinkPointer{open_link(core_->backend, core_->options, index, most(), core_->hooks)};
    slot.idle_since = sys::recent_time().time_since_epoch().count();
    slot.open = slot.link.get();
  }
  return slot.link;
}

bool Pool::is_open(std::uint32_t index) const noexcept {
  return core_->slots[index].open != nullptr;
}
bool Pool::has(std::uint32_t index, const LinkPointer& link) const noexcept {
  return core_->slots[index].open == link.get();
}

void Pool::lose(std::uint32_t index, const LinkPointer& dead) noexcept {
  auto& slot = core_->slots[index];
  LinkPointer lost;
  {
    const std::lock_guard lock{core_->mutex};
    if (slot.link.get() != dead.get()) return;  // another run noticed
    lost = std::exchange(slot.link, {});
    slot.open = nullptr;
  }
  lost->shut(true, actor::at_once);
}

/// Without the mutex, for that is when the user's hooks are told. One that is about to end has its
/// stop hooks to run: another worker may take its place meanwhile.
void Pool::lose_if_ended(std::uint32_t index, const LinkPointer& link) {
  if (!link->alive()) return lose(index, link);
  if (!link->leaves()) return;
  auto& slot = core_->slots[index];
  const std::lock_guard lock{core_->mutex};
  if (slot.link.get() != link.get() || core_->leavers.size() >= most()) return;
  core_->leavers.push_back(link);
  slot.link = {};
  slot.open = nullptr;
}

void Pool::add_load(std::uint32_t index, int batches) noexcept {
  auto& slot = core_->slots[index];
  if (slot.load.fetch_add(batches) + batches == 0)
    slot.idle_since = sys::recent_time().time_since_epoch().count();
}
int Pool::load(std::uint32_t index) const noexcept { return core_->slots[index].load; }

void Pool::adopt(std::uint32_t index, std::unique_ptr<actor::State, actor::Abandon> batch) {
  const std::lock_guard lock{core_->orphans_mutex};
  core_->orphans.push_back({index, std::move(batch)});
  ++core_->slots[index].orphans;
  ++core_->orphan_count;
}

void Pool::look_after_orphans() {
  if (core_->orphan_count == 0) return;
  const std::lock_guard lock{core_->orphans_mutex};
  std::erase_if(core_->orphans, [this](const Core::Orphan& orphan) {
    orphan.batch->source()->poll();
    if (!orphan.batch->has_outcome()) return false;
    add_load(orphan.index, -1);
    --core_->slots[orphan.index].orphans;
    --core_->orphan_count;
    return true;
  });
}

int Pool::orphans() const noexcept { return core_->orphan_count; }
int Pool::orphans(std::uint32_t index) const noexcept { return core_->slots[index].orphans; }

void Pool::set_hooks(Hooks hooks) {
  auto next = std::make_shared<const Hooks>(std::move(hooks));
  close();
  const std::lock_guard lock{core_->mutex};
  core_->hooks = std::move(next);
}

std::vector<pid_t> Pool::pids() const {
  std::vector<LinkPointer> links;
  {
    const std::lock_guard lock{core_->mutex};
    for (const auto& slot : core_->slots)
      if (slot.link.get() != nullptr) links.push_back(slot.link);
  }
  std::vector<pid_t> all;
  for (const auto& link : links)
    if (link->alive()) all.push_back(link->pid());
  return all;
}

// --- Their end -----------------------------------------------------------------------------------

/// Whether it has had nothing to do for idle_timeout.
bool Pool::Core::is_idle(const Slot& slot) const {
  return slot.open != nullptr && slot.load == 0 &&
         Clock::now() - Clock::time_point{Clock::duration{slot.idle_since}} >= options.idle_timeout;
}

std::vector<LinkPointer> Pool::Core::take(bool idle_only) {
  std::vector<LinkPointer> links;
  const std::lock_guard lock{mutex};
  for (auto& slot : slots) {
    if (slot.open == nullptr || (idle_only && !is_idle(slot))) continue;
    links.push_back(std::exchange(slot.link, {}));
    slot.open = nullptr;
  }
  if (!idle_only) {
    links.insert(links.end(), leavers.begin(), leavers.end());
    leavers.clear();
  }
  return links;
}

StopState Pool::Core::ask_to_stop(actor::Link& link) const {
  wire::Buffer message;
  begin_message(message, stop_entry);
  StopState state{new actor::ReplyState<void>};
  state->entry = &stop_entry;
  state->attach(link);
  link.submit(message, *state);
  return state;
}

void Pool::Core::end(std::vector<LinkPointer> links, std::vector<std::exception_ptr>& failures) {
  const auto deadline = actor::deadline_after(options.close_timeout);
  std::vector<StopState> states(links.size());
  if (!hooks->stop.empty()) {
    for (std::size_t i = 0; i < links.size(); ++i) {
      try {
        if (links[i]->alive()) states[i] = ask_to_stop(*links[i]);
      } catch (...) {
        failures.push_back(std::current_exception());
      }
    }
    for (auto& state : states) {
      if (state == nullptr || !state->source()->wait(*state, deadline)) continue;
      auto error = state->error();
      // One that had left has run its hooks by itself.
      if (error != nullptr && !state->source()->has_left()) failures.push_back(std::move(error));
    }
  }
  for (auto& link : links) link->begin_close(false);
  for (auto& link : links) link->shut(false, deadline);
}

std::unique_ptr<RunScratch> Pool::take_scratch() {
  {
    const std::lock_guard lock{core_->scratch_mutex};
    if (core_->scratch != nullptr) return std::move(core_->scratch);
  }
  return std::make_unique<RunScratch>();
}

void Pool::keep_scratch(std::unique_ptr<RunScratch> scratch) noexcept {
  const std::lock_guard lock{core_->scratch_mutex};
  core_->scratch.swap(scratch);  // another run's ends without the lock
}

void Pool::drop_state(std::uint64_t id) noexcept {
  const std::lock_guard lock{core_->mutex};
  for (const auto& slot : core_->slots) {
    if (slot.link.get() == nullptr) continue;
    try {
      wire::Buffer message;
      begin_message(message, drop_state_entry);
      message.append(&id, sizeof id);
      slot.link->post(message);
    } catch (...) {
      report(core_->options, std::current_exception());
    }
  }
}

/// Worker processes end by themselves (Maker::idle_limit): here they are reaped.
void Pool::lose_leavers() {
  for (std::uint32_t i = 0; i < most(); ++i) {
    LinkPointer link;
    if (core_->is_idle(core_->slots[i])) {
      const std::lock_guard lock{core_->mutex};
      link = core_->slots[i].link;
    }
    if (link.get() != nullptr) lose_if_ended(i, link);
  }
  std::vector<LinkPointer> leavers;
  {
    const std::lock_guard lock{core_->mutex};
    leavers = core_->leavers;
  }
  std::erase_if(leavers, [](const LinkPointer& link) { return link->alive(); });
  if (leavers.empty()) return;
  const std::lock_guard lock{core_->mutex};
  std::erase_if(core_->leavers, [&](const LinkPointer& link) {
    return std::ranges::any_of(leavers, [&](const LinkPointer& l) { return l.get() == link.get(); });
  });
}

void Pool::end_idle() {
  const auto timeout = core_->options.idle_timeout;
  if (timeout <= std::chrono::milliseconds::zero()) return;
  const auto now = sys::recent_time();
  const Clock::time_point looked{Clock::duration{core_->looked.load()}};
  if (now - looked < std::min<Clock::duration>(timeout, recently)) return;
  core_->looked = now.time_since_epoch().count();
  if (capabilities(core_->backend).isolates) return lose_leavers();
  auto links = core_->take(true);
  if (links.empty()) return;
  std::vector<std::exception_ptr> failures;
  core_->end(std::move(links), failures);
  if (!failures.empty()) std::rethrow_exception(failures.front());
}

void Pool::close() {
  std::vector<std::exception_ptr> failures;
  core_->end(core_->take(false), failures);
  if (failures.empty()) return;
  throw Error(fmt::format("apalis: on_worker_stop failed in {} of the engine's workers; the first: {}",
                          failures.size(), actor::describe(failures.front())));
}

}  // namespace apalis::detail::engine
