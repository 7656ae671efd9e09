// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/actor/gather_state.hpp>
#include <apalis/detail/actor/group.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/error.hpp>
#include <cstring>
#include <utility>

namespace apalis::detail::actor {

bool Parts::all_there() const noexcept {
  return std::ranges::all_of(
      states, [](const auto& state) { return state == nullptr || state->has_outcome(); });
}

bool State::complete_from_parts() noexcept {
  const Parts& all = *parts();
  if (all.armed || !all.all_there()) return false;
  set_phase(Phase::settled);
  return true;
}

void Parts::count_down() noexcept {
  if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) whole->source()->complete(*whole);
}

bool all_cancelled(const Parts& parts) {
  return std::ranges::all_of(parts.states, [](const auto& state) {
    return state == nullptr || state->was_cancelled();
  });
}

Group::~Group() {
  for (Link* link : links_) link->release();
}

void Group::submit(std::span<const wire::Buffer* const> messages, Parts& parts) {
  struct Wake {
    std::span<Link* const> links;
    std::span<const wire::Buffer* const> messages;
    ~Wake() {
      // The second time all of them: which core we are on, and they, changes in between, and a
      // worker that neither time found where it looked would sleep on.
      for (const bool all : {false, true})
        for (std::size_t i = 0; i < links.size(); ++i)
          if (messages[i] != nullptr && (all || !links[i]->is_on_this_core()))
            links[i]->wake_worker();
    }
  };
  const Wake wake{links_, messages};  // what was published, if a later one throws
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (messages[i] == nullptr) continue;
    auto state = std::make_unique<PartState>();
    std::memcpy(&state->entry, messages[i]->data(), sizeof state->entry);
    state->attach(*links_[i]);
    links_[i]->publish(*messages[i], *state);
    parts.states[i].reset(state.release());
  }
}

void Group::poll() {
  for (Link* link : links_) link->poll();
  if (has_due()) {
    Lock lock{mutex_};
    run_due(lock);
  }
}

bool Group::drive(const Until& until, Deadline deadline) {
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

bool Group::wait(State& state, Deadline deadline) {
  if (state.is_continued_here()) return true;
  Parts* const parts = state.parts();
  if (parts == nullptr) return drive({&state}, deadline);
  for (const auto& part : parts->states)
    if (part != nullptr && !part->has_outcome() && !part->source()->wait(*part, deadline))
      return false;
  if (state.complete()) return true;
  return drive({&state}, deadline);  // continuations run, here or on another thread
}

bool Group::cancel(State& state, Cancel how) {
  bool all = true;
  for (const auto& part : state.parts()->states)
    if (part != nullptr) all = !part->has_outcome() && part->cancel(how) && all;
  return all;
}

void Group::abandon(State& state) noexcept {
  if (!state.is_continued_here()) {
    const Lock lock{mutex_};
    const Parts* const parts = state.parts();
    const bool waits = parts != nullptr && !parts->armed;  // nobody refers to it but its token
    if (waits) state.set_phase(State::Phase::settled);
  }
  Source::abandon(state);
}

bool Group::attach(State& state, Continuation& continuation) {
  if (state.complete()) return false;
  Parts* const parts = state.parts();
  if (parts == nullptr || parts->armed) return Source::attach(state, continuation);
  if (!Source::attach(state, continuation)) return false;
  parts->armed = true;
  parts->left.store(parts->states.size() + 1, std::memory_order_relaxed);
  std::size_t there = 0;
  for (const auto& part : parts->states) {
    if (part != nullptr && part->source()->attach(*part, parts->done.emplace_back(*parts))) continue;
    ++there;
  }
  if (parts->left.fetch_sub(there + 1, std::memory_order_acq_rel) != there + 1) return true;
  // All of them came meanwhile.
  const Lock lock{mutex_};
  state.continuations = nullptr;
  state.set_phase(State::Phase::settled);
  return false;
}

void Group::begin_sleep(channel::Bells& bells) noexcept {
  for (Link* link : links_) link->begin_sleep(bells);
}

void Group::end_sleep() noexcept {
  for (Link* link : links_) link->end_sleep();
}

bool Group::has_news() const noexcept {
  return has_due() || std::ranges::any_of(links_, [](const Link* link) { return link->has_news(); });
}

pid_t Group::pid() const noexcept { return ::getpid(); }

void Group::wake_waiters() noexcept {}  // they look again with each of the links

void Group::for_each(void (Link::*act)()) {
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

void Group::drain() { for_each(&Link::drain); }
void Group::close() { for_each(&Link::close); }
void Group::kill() { for_each(&Link::kill); }

void Group::shut(bool discard, Deadline deadline) noexcept {
  for (Link* link : links_) link->shut(discard, deadline);
}

}  // namespace apalis::detail::actor
