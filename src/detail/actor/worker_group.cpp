// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/actor/gather_state.hpp>
#include <apalis/detail/actor/locked_source.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace apalis::detail::actor {

struct Parts::Done final : Continuation {
  Done() noexcept : Continuation(false) {}
  void run(State& /*state*/) noexcept override { parts->count_down(); }
  Parts* parts = nullptr;
};

/// Messages and what is known of them, one a worker.
struct BatchScratch {
  explicit BatchScratch(std::size_t workers) : messages(workers), used(workers), counts(workers) {}

  std::vector<wire::Buffer> messages;
  std::vector<const wire::Buffer*> used;  // null for a worker that has none
  std::vector<std::uint64_t> counts;      // calls, of a batch
};

// --- Parts ---------------------------------------------------------------------------------------

Parts::Parts(std::uint32_t workers)
    : states_(new PartState*[workers]()), workers_(workers) {}

Parts::~Parts() {
  for (std::uint32_t i = 0; i < workers_; ++i)
    if (states_[i] != nullptr) Abandon{}(states_[i]);
  delete[] states_;
  delete[] done_;
}

bool Parts::all_there() const noexcept {
  return std::all_of(states_, states_ + workers_, [](const PartState* state) {
    return state == nullptr || state->has_outcome();
  });
}

bool Parts::all_cancelled() const noexcept {
  return std::all_of(states_, states_ + workers_, [](const PartState* state) {
    return state == nullptr || state->was_cancelled();
  });
}

void Parts::count_down() noexcept {
  if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) whole_->source()->complete(*whole_);
}

bool State::complete_from_parts() noexcept {
  const Parts& all = *parts();
  if (all.armed_ || !all.all_there()) return false;
  set_phase(Phase::settled);
  return true;
}

void CallOrder::reserve(std::size_t calls) { listed_.reserve(calls); }

void CallOrder::add(std::uint32_t worker) {
  listed_.push_back(worker);
  ++calls_;
}

struct Replies::Reply {
  wire::Reader reader{std::span<const std::byte>{}};
  std::exception_ptr error;
  pid_t pid = 0;
};

Replies::Replies(const Parts& parts)
    : replies_(new Reply[parts.size()]), workers_(parts.size()) {
  for (std::uint32_t i = 0; i < workers_; ++i) {
    PartState* const state = parts[i];
    if (state == nullptr) continue;
    replies_[i].error = state->error();
    replies_[i].pid = state->source()->pid();
    if (replies_[i].error == nullptr) replies_[i].reader = wire::Reader{state->bytes()};
  }
}

Replies::~Replies() { delete[] replies_; }

bool Replies::all_there() const noexcept {
  return std::all_of(replies_, replies_ + workers_,
                     [](const Reply& reply) { return reply.error == nullptr; });
}

wire::Reader& Replies::operator[](std::uint32_t worker) noexcept {
  return replies_[worker].reader;
}

const std::exception_ptr& Replies::error(std::uint32_t worker) const noexcept {
  return replies_[worker].error;
}

pid_t Replies::pid(std::uint32_t worker) const noexcept { return replies_[worker].pid; }

void Replies::fail(std::uint32_t worker) noexcept {
  replies_[worker].error = std::current_exception();
}

// --- Messages ------------------------------------------------------------------------------------

GroupMessages::GroupMessages(Group& group) : group_(group), scratch_(group.take_scratch()) {}

GroupMessages::~GroupMessages() { group_.give_back(scratch_); }

std::uint32_t GroupMessages::add_call(std::uint32_t object, const wire::Buffer& call) {
  const auto workers = group_.workers();
  const auto worker = object % workers;
  auto& message = (*this)[worker];
  if (scratch_->counts[worker]++ == 0) wire::begin_open_batch(message, wire::batch_of_many_entry);
  message.append_size(object / workers);
  wire::append_to_batch(message, call.bytes());
  message.holds().add_all(call.holds());
  return worker;
}

void GroupMessages::add_to_all(const wire::Buffer& shared) {
  for (std::uint32_t i = 0; i < group_.workers(); ++i)
    (*this)[i].append_all(shared);
}

wire::Buffer& GroupMessages::operator[](std::uint32_t worker) {
  auto& message = scratch_->messages[worker];
  scratch_->used[worker] = &message;
  return message;
}

void GroupMessages::submit(Parts& parts) {
  for (std::uint32_t i = 0; i < group_.workers(); ++i) {
    if (scratch_->used[i] == nullptr) continue;
    auto& message = scratch_->messages[i];
    if (const auto count = scratch_->counts[i]; count != 0) wire::set_batch_count(message, count);
    address(message, wire::all_objects);
  }
  group_.submit(scratch_->used, parts);
}

// --- Group ---------------------------------------------------------------------------------------

class WorkerGroup final : public LockedSource<Group> {
 public:
  explicit WorkerGroup(std::span<Link* const> links)
      : own_(links.begin(), links.end()), sources_(links.begin(), links.end()) {
    links_ = own_;
  }

  void submit(std::span<const wire::Buffer* const> messages, Parts& parts) override;
  void submit_to_all(const wire::Buffer& message, Parts& parts) override;
  void poll() override;
  bool drive(const Until& until, Deadline deadline) override;
  bool wait(State& state, Deadline deadline) override;
  bool cancel(State& state, Cancel how) override;
  void abandon(State& state) noexcept override;
  bool attach(State& state, Continuation& continuation) override;
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override;
  [[nodiscard]] bool has_news() const noexcept override;
  [[nodiscard]] pid_t pid() const noexcept override { return ::getpid(); }
  void drain() override { for_each(&Link::drain); }
  void close() override {
    for (Link* link : own_) link->begin_close(false);
    for_each(&Link::close);
  }
  void kill() override { for_each(&Link::kill); }
  void shut(bool discard, Deadline deadline) noexcept override;

 private:
  ~WorkerGroup() override {
    for (Link* link : own_) link->release();
  }
  void wake_waiters() noexcept override {}  // they look again with each of the links
  void for_each(void (Link::*act)());
  [[nodiscard]] BatchScratch* take_scratch() override;
  void give_back(BatchScratch* scratch) noexcept override;

  std::vector<Link*> own_;
  std::vector<Source*> sources_;  // the same
  std::unique_ptr<BatchScratch> scratch_;
};

Group* Group::make(std::span<Link* const> links) { return new WorkerGroup{links}; }

void WorkerGroup::submit_to_all(const wire::Buffer& message, Parts& parts) {
  const std::vector<const wire::Buffer*> messages(links_.size(), &message);
  submit(messages, parts);
}

void WorkerGroup::submit(std::span<const wire::Buffer* const> messages, Parts& parts) {
  struct Wake {
    std::span<Link* const> links;
    std::span<const wire::Buffer* const> messages;
    ~Wake() {
      for (std::size_t i = 0; i < links.size(); ++i)
        if (messages[i] != nullptr && !links[i]->is_on_this_core()) links[i]->wake_worker();
      // All of them, for who is on which core changes meanwhile: one that is awake is not woken.
      for (std::size_t i = 0; i < links.size(); ++i)
        if (messages[i] != nullptr) links[i]->wake_worker();
    }
  };
  const Wake wake{links_, messages};  // what was published, if a later one throws
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (messages[i] == nullptr) continue;
    auto state = std::make_unique<PartState>();
    std::memcpy(&state->entry, messages[i]->data(), sizeof state->entry);
    state->attach(*links_[i]);
    links_[i]->publish(*messages[i], *state);
    parts.states_[i] = state.release();
  }
}

BatchScratch* WorkerGroup::take_scratch() {
  std::unique_ptr<BatchScratch> scratch;
  {
    const Lock lock{mutex_};
    scratch = std::move(scratch_);
  }
  if (scratch == nullptr) {
    scratch = std::make_unique<BatchScratch>(links_.size());
  }
  return scratch.release();
}

void WorkerGroup::give_back(BatchScratch* taken) noexcept {
  std::unique_ptr<BatchScratch> scratch{taken};
  constexpr std::size_t kept_capacity = std::size_t{64} * 1024;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    scratch->messages[i].clear();
    scratch->messages[i].shrink(kept_capacity);
    scratch->used[i] = nullptr;
    scratch->counts[i] = 0;
  }
  const Lock lock{mutex_};
  if (scratch_ == nullptr) scratch_ = std::move(scratch);
}

void WorkerGroup::poll() {
  for (Link* link : links_) link->poll();
  if (has_due()) {
    Lock lock{mutex_};
    run_due(lock);
  }
}

bool WorkerGroup::drive(const Until& until, Deadline deadline) {
  if (until.state != nullptr && until.state->is_continued_here()) return true;
  return drive_all(
      sources_,
      [&] {
        if (has_due()) {
          Lock lock{mutex_};
          run_due(lock);
        }
        return until.reached();
      },
      deadline);
}

bool WorkerGroup::wait(State& state, Deadline deadline) {
  if (state.is_continued_here()) return true;
  Parts* const parts = state.parts();
  if (parts == nullptr) return drive({&state}, deadline);
  for (std::uint32_t i = 0; i < parts->size(); ++i) {
    PartState* const part = (*parts)[i];
    if (part != nullptr && !part->has_outcome() && !part->source()->wait(*part, deadline))
      return false;
  }
  if (state.complete()) return true;
  return drive({&state}, deadline);  // continuations run, here or on another thread
}

bool WorkerGroup::cancel(State& state, Cancel how) {
  const Parts& parts = *state.parts();
  bool any = false;
  bool all = true;
  for (std::uint32_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == nullptr) continue;
    any = true;
    all = !parts[i]->has_outcome() && parts[i]->cancel(how) && all;
  }
  return any && all;
}

void WorkerGroup::abandon(State& state) noexcept {
  if (!state.is_continued_here()) {
    const Lock lock{mutex_};
    const Parts* const parts = state.parts();
    const bool waits = parts != nullptr && !parts->armed_;  // nobody refers to it but its token
    if (waits) state.set_phase(State::Phase::settled);
  }
  LockedSource::abandon(state);
}

bool WorkerGroup::attach(State& state, Continuation& continuation) {
  if (state.complete()) return false;
  Parts* const parts = state.parts();
  if (parts == nullptr || parts->armed_) return LockedSource::attach(state, continuation);
  // First what may fail.
  if (parts->done_ == nullptr) parts->done_ = new Parts::Done[parts->size()];
  if (!LockedSource::attach(state, continuation)) return false;
  parts->armed_ = true;
  parts->left_.store(parts->size() + std::size_t{1}, std::memory_order_relaxed);
  std::size_t there = 0;
  for (std::uint32_t i = 0; i < parts->size(); ++i) {
    parts->done_[i].parts = parts;
    PartState* const part = (*parts)[i];
    if (part == nullptr || !part->source()->attach(*part, parts->done_[i])) ++there;
  }
  if (parts->left_.fetch_sub(there + 1, std::memory_order_acq_rel) != there + 1) return true;
  // All of them came meanwhile.
  const Lock lock{mutex_};
  state.continuations = nullptr;
  state.set_phase(State::Phase::settled);
  return false;
}

void WorkerGroup::begin_sleep(channel::Bells& bells) noexcept {
  for (Link* link : links_) link->begin_sleep(bells);
}

void WorkerGroup::end_sleep() noexcept {
  for (Link* link : links_) link->end_sleep();
}

bool WorkerGroup::has_news() const noexcept {
  return has_due() || std::ranges::any_of(links_, [](const Link* link) { return link->has_news(); });
}

void WorkerGroup::for_each(void (Link::*act)()) {
  std::size_t failed_posts = 0;
  std::exception_ptr first_post;
  std::exception_ptr first;
  for (Link* link : links_) {
    try {
      (link->*act)();
    } catch (const PostError& e) {
      failed_posts += e.count();
      if (first_post == nullptr) first_post = e.first();
    } catch (...) {
      if (first == nullptr) first = std::current_exception();
    }
  }
  if (first != nullptr) std::rethrow_exception(first);
  if (first_post != nullptr)
    throw PostError(fmt::format("apalis: {} one-way calls to objects of the group '{}' failed; the "
                                "first: {}",
                                failed_posts, links_.front()->options().name, describe(first_post)),
                    failed_posts, first_post);
}

void WorkerGroup::shut(bool discard, Deadline deadline) noexcept {
  for (Link* link : links_) link->begin_close(discard);
  for (Link* link : links_) link->shut(discard, deadline);
}

}  // namespace apalis::detail::actor
