// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/seat.hpp>
#include <apalis/detail/sys/usage.hpp>
#include <utility>

namespace apalis::detail::engine {
namespace {
constinit thread_local bool inside = false;
}

// --- Seat ----------------------------------------------------------------------------------------

Seat::Seat(std::shared_ptr<const Hooks> hooks) noexcept : hooks_(std::move(hooks)) {}
Seat::~Seat() = default;

void Seat::stop() {
  if (std::exchange(stopped_, true)) return;
  for (const auto& hook : hooks_->stop) hook();
}

Frame* Seat::frame(std::uint32_t run) const noexcept {
  for (const auto& [id, frame] : frames_)
    if (id == run) return frame.get();
  return nullptr;
}

void Seat::keep(std::uint32_t run, std::unique_ptr<Frame> frame) {
  frames_.emplace_back(run, std::move(frame));
}

void Seat::drop(std::uint32_t run) noexcept {
  std::erase_if(frames_, [run](const auto& entry) { return entry.first == run; });
}

void* Seat::find_state(std::uint64_t id) const noexcept {
  for (const auto& [known, state] : states_)
    if (known == id) return state.get();
  return nullptr;
}

void Seat::keep_state(std::uint64_t id, std::shared_ptr<void> state) {
  states_.emplace_back(id, std::move(state));
}

void Seat::drop_state(std::uint64_t id) noexcept {
  std::erase_if(states_, [id](const auto& entry) { return entry.first == id; });
}

std::uint64_t Seat::peak_memory(std::uint64_t busy) noexcept {
  constexpr std::uint64_t worth_asking = 20'000;
  busy_ += busy;
  if (peak_memory_ == 0 || busy_ >= worth_asking) {
    peak_memory_ = sys::peak_memory();
    busy_ = 0;
  }
  return peak_memory_;
}

// --- InsideBatch ---------------------------------------------------------------------------------

bool inside_batch() noexcept { return inside; }

InsideBatch::InsideBatch() noexcept : before_(inside) { inside = true; }
InsideBatch::~InsideBatch() { inside = before_; }

}  // namespace apalis::detail::engine
