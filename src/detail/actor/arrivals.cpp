// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/arrivals.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace apalis::detail::actor {

/// Lives until the Arrivals are gone and the last ticket has come back.
struct Arrivals::Core {
  struct Ticket final : Continuation {
    Ticket(Core& c, std::size_t i) noexcept : Continuation(false), core(c), index(i) {}
    void run(State& /*state*/) noexcept override { core.come(index); }
    Core& core;
    std::size_t index;
  };

  explicit Core(std::span<State* const> all) : states(all.begin(), all.end()) {
    order.reserve(states.size());
    sources.reserve(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) tickets.emplace_back(*this, i);
  }
  ~Core() {
    for (Source* source : sources) source->release();
  }

  void hand_out() {
    for (std::size_t i = 0; i < states.size(); ++i) {
      // A state whose continuation asks: its value is there, though not for others.
      if (states[i] == nullptr || states[i]->has_outcome() || states[i]->is_continued_here()) {
        note(i);
        continue;
      }
      holders.fetch_add(1, std::memory_order_relaxed);
      if (attach(*states[i], tickets[i])) {
        // Kept: the token that is taken next may be the last thing that keeps its source.
        states[i]->source()->retain();
        sources.push_back(states[i]->source());
      } else {
        holders.fetch_sub(1, std::memory_order_relaxed);
        note(i);
      }
    }
    std::ranges::sort(sources);
    auto kept = sources.begin();
    for (auto at = sources.begin(); at != sources.end(); ++at) {
      if (kept != sources.begin() && *at == *(kept - 1)) {
        (*at)->release();
      } else {
        *kept++ = *at;
      }
    }
    sources.erase(kept, sources.end());
  }
  bool attach(State& state, Ticket& ticket) {
    try {
      return state.source()->attach(state, ticket);
    } catch (...) {
      holders.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
  }

  /// Another thread may be inside a source: tickets come back while others are handed out.
  void note(std::size_t index) noexcept {
    const std::lock_guard lock{mutex};
    order.push_back(index);  // reserved
  }
  void come(std::size_t index) noexcept {
    note(index);
    version.fetch_add(1, std::memory_order_release);
    release();
  }
  void release() noexcept {
    if (holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  std::mutex mutex;
  std::vector<std::size_t> order;
  std::atomic<std::uint64_t> version{0};
  std::atomic<std::size_t> holders{1};
  std::deque<Ticket> tickets;
  std::vector<State*> states;
  std::vector<Source*> sources;  // retained
  std::size_t taken = 0;
};

Arrivals::Arrivals(std::span<State* const> states) : core_(new Core{states}) {
  try {
    core_->hand_out();
  } catch (...) {
    core_->release();  // tickets that were handed out may still come back
    throw;
  }
}

Arrivals::~Arrivals() { core_->release(); }

std::size_t Arrivals::next() {
  Core& core = *core_;
  for (;;) {
    const auto seen = core.version.load(std::memory_order_acquire);
    bool taken = false;
    std::size_t index = 0;
    {
      const std::lock_guard lock{core.mutex};
      taken = core.taken < core.order.size();
      if (taken) index = core.order[core.taken++];
    }
    if (taken) {
      // Its ticket came back before its outcome was told to everybody.
      if (State* const state = core.states[index]; state != nullptr && !state->has_outcome())
        (void)state->source()->wait(*state, no_deadline);
      return index;
    }
    const Until until{nullptr, &core.version, seen};
    if (core.sources.size() == 1) {
      (void)core.sources.front()->drive(until, no_deadline);
    } else {
      (void)drive_all(core.sources, [&] { return until.reached(); }, no_deadline);
    }
  }
}

}  // namespace apalis::detail::actor
