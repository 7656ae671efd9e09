// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <thread>
#include <vector>

namespace apalis::detail::actor {
namespace {

std::size_t count_outcomes(std::span<State* const> states) {
  return static_cast<std::size_t>(std::ranges::count_if(
      states, [](State* s) { return s == nullptr || s->complete() || s->is_continued_here(); }));
}

/// The distinct sources of those that still wait.
std::vector<Source*> sources_of(std::span<State* const> states) {
  std::vector<Source*> sources;
  for (const State* state : states)
    if (state != nullptr && !state->has_outcome()) sources.push_back(state->source());
  std::ranges::sort(sources);
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

}  // namespace

bool drive_all(std::span<Source* const> sources, FunctionRef<bool()> done, Deadline deadline,
               std::chrono::microseconds patience) {
  const auto look = [&] {
    for (Source* source : sources) source->poll();
    return done();
  };
  const auto start = Clock::now();
  for (;;) {
    if (look()) return true;
    const auto now = Clock::now();
    if (now >= deadline) return false;
    if (now - start < patience) {
      sys::yield_core();
      continue;
    }
    std::chrono::nanoseconds limit = look_interval;
    if (deadline != no_deadline)
      limit = std::clamp<std::chrono::nanoseconds>(deadline - now, {}, limit);
    channel::Bells bells;
    for (Source* source : sources) source->begin_sleep(bells);
    if (bells.empty()) {
      std::this_thread::sleep_for(limit);  // for coroutines that wait for what is not ours
    } else {
      bells.order();
      const bool news = std::ranges::any_of(sources, [](Source* s) { return s->has_news(); });
      if (!news && !done()) bells.sleep(limit);
    }
    for (Source* source : sources) source->end_sleep();
  }
}

std::size_t wait_many(std::span<State* const> states, std::size_t count, Deadline deadline) {
  count = std::min(count, states.size());
  const auto sources = sources_of(states);
  std::size_t outcomes = 0;
  (void)drive_all(
      sources, [&] { return (outcomes = count_outcomes(states)) >= count; }, deadline);
  return outcomes;
}

}  // namespace apalis::detail::actor
