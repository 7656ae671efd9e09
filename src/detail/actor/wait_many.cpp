// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <vector>

namespace apalis::detail::actor {
namespace {

constexpr std::chrono::microseconds patience{200};  // before sleeping

std::size_t count_outcomes(std::span<State* const> states) {
  return static_cast<std::size_t>(std::ranges::count_if(
      states, [](const State* s) { return s == nullptr || s->has_outcome(); }));
}

/// The distinct links of those that still wait.
std::vector<Link*> links_of(std::span<State* const> states) {
  std::vector<Link*> links;
  for (const State* state : states)
    if (state != nullptr && !state->has_outcome()) links.push_back(state->link());
  std::ranges::sort(links);
  links.erase(std::unique(links.begin(), links.end()), links.end());
  return links;
}

std::size_t look(std::span<Link* const> links, std::span<State* const> states) {
  for (Link* link : links) link->poll();
  return count_outcomes(states);
}

/// Sleeps until any of the links rings. All bells of a process share one epoch.
void sleep(std::span<Link* const> links, std::span<State* const> states, std::size_t seen,
           Deadline deadline) {
  const channel::Doorbell* bell = nullptr;
  std::uint32_t ticket = 0;
  std::uint32_t bits = 0;
  for (Link* link : links) {
    const channel::Doorbell* next = link->begin_sleep();
    if (next == nullptr) continue;
    if (bell == nullptr) ticket = next->ticket();  // before any mark, as in Doorbell::announce()
    next->mark();
    bell = next;
    bits |= next->bits();
  }
  if (bell != nullptr) {
    bell->order();
    if (look(links, states) == seen) {
      std::chrono::nanoseconds limit = look_interval;
      if (deadline != no_deadline)
        limit = std::clamp<std::chrono::nanoseconds>(deadline - Clock::now(), {}, limit);
      bell->sleep(ticket, limit, bits);
    }
  }
  for (Link* link : links) link->end_sleep();
}

}  // namespace

std::size_t wait_many(std::span<State* const> states, std::size_t count, Deadline deadline) {
  count = std::min(count, states.size());
  const auto links = links_of(states);
  const auto start = Clock::now();
  for (;;) {
    const auto done = look(links, states);
    if (done >= count) return done;
    const auto now = Clock::now();
    if (now >= deadline) return done;
    if (now - start < patience) {
      sys::yield_core();
    } else {
      sleep(links, states, done, deadline);
    }
  }
}

}  // namespace apalis::detail::actor
