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

  explicit Core(std::span<State* const> states) {
    order.reserve(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (states[i] == nullptr || states[i]->has_outcome()) {
        note(i);
        continue;
      }
      auto& ticket = tickets.emplace_back(*this, i);
      holders.fetch_add(1, std::memory_order_relaxed);
      if (states[i]->source()->attach(*states[i], ticket)) {
        sources.push_back(states[i]->source());
      } else {
        holders.fetch_sub(1, std::memory_order_relaxed);
        note(i);
      }
    }
    std::ranges::sort(sources);
    sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
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
  std::vector<Source*> sources;  // kept by the states
  std::size_t taken = 0;
};

Arrivals::Arrivals(std::span<State* const> states) : core_(new Core{states}) {}

Arrivals::~Arrivals() { core_->release(); }

std::size_t Arrivals::next() {
  Core& core = *core_;
  for (;;) {
    const auto seen = core.version.load(std::memory_order_acquire);
    {
      const std::lock_guard lock{core.mutex};
      if (core.taken < core.order.size()) return core.order[core.taken++];
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
