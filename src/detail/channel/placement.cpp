// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/placement.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <cstdint>

namespace apalis::detail::channel {
namespace {

constexpr std::chrono::milliseconds look_again{1};

// How full a core is: a worker counts 2, the waiting parent, which mostly yields, 1.
constexpr int worker_weight = 2;
constexpr int parent_weight = 1;

std::atomic<std::uint16_t>* seat(RegionHeader& header, int core) noexcept {
  return core >= 0 && core < static_cast<int>(most_cores) ? &header.workers_on[core] : nullptr;
}

int weight(RegionHeader& header, int core) noexcept {
  const auto* const workers = seat(header, core);
  return workers == nullptr ? 0 : worker_weight * workers->load(std::memory_order_relaxed);
}

}  // namespace

bool Placement::is_shared(int core) const noexcept {
  return weight(header_, core) > worker_weight;
}

void Placement::settle(int core) noexcept {
  if (auto* const before = seat(header_, core_)) before->fetch_sub(1, std::memory_order_relaxed);
  core_ = core;
  if (auto* const now = seat(header_, core_)) now->fetch_add(1, std::memory_order_relaxed);
  claim_.store(static_cast<std::uint32_t>(core + 1), std::memory_order_relaxed);
}

void Placement::seek(bool with_parent) noexcept {
  const auto now = Clock::now();
  if (now - looked_ < look_again) return;
  looked_ = now;
  const int here = weight(header_, core_) + (with_parent ? parent_weight : 0);
  const int parents_core =
      with_parent ? core_ : static_cast<int>(parent_core_.load(std::memory_order_relaxed)) - 1;
  int best = core_;
  int least = here - worker_weight;  // what moving there would have to beat
  for (const int core : cores_) {
    if (core == core_) continue;
    const int there = weight(header_, core) + (core == parents_core ? parent_weight : 0);
    if (there < least) {
      least = there;
      best = core;
    }
  }
  if (best == core_) return;
  // Of several that see the same, one goes.
  auto* const seat_here = seat(header_, core_);
  auto* const seat_there = seat(header_, best);
  if (seat_here == nullptr || seat_there == nullptr) return;
  auto seen = seat_here->load(std::memory_order_relaxed);
  if (!seat_here->compare_exchange_strong(seen, static_cast<std::uint16_t>(seen - 1),
                                          std::memory_order_relaxed))
    return;
  seat_there->fetch_add(1, std::memory_order_relaxed);
  core_ = best;
  claim_.store(static_cast<std::uint32_t>(best + 1), std::memory_order_relaxed);
  (void)sys::move_to_core(best);  // if it may not go there, the next look sees that
}

void forget_claim(RegionHeader& header, std::atomic<std::uint32_t>& claim) noexcept {
  const auto claimed = claim.exchange(0, std::memory_order_relaxed);  // as a child left it
  if (claimed == 0 || claimed > most_cores) return;
  auto& workers = header.workers_on[claimed - 1];
  auto now = workers.load(std::memory_order_relaxed);
  while (now > 0 && !workers.compare_exchange_weak(now, static_cast<std::uint16_t>(now - 1),
                                                   std::memory_order_relaxed)) {
  }
}

}  // namespace apalis::detail::channel
