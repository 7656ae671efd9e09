// SPDX-License-Identifier: BSL-1.0
#include "parent.hpp"

#include <apalis/detail/actor/obituary.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cstring>
#include <utility>

namespace apalis::fuzz {

using detail::actor::Errand;
using detail::actor::Request;
using detail::actor::State;
namespace channel = detail::channel;
namespace wire = detail::wire;

Parent::~Parent() {
  settle_rest();
  look();
}

void Parent::call(std::size_t type, std::span<const std::byte> request) {
  if (over_) return;
  auto call = call_makers()[type % call_makers().size()]();
  const auto states = call->begin(link_.get());
  calls_.push_back({std::move(call), states});
  for (State* const state : states) {
    if (over_ || !send(Request::call, request)) {
      state->store_error(std::make_exception_ptr(Error("there was no room")));
      state->set_phase(State::Phase::settled);
      continue;
    }
    state->position = sender_.last_position();
    inbox_.pending.push(*state);
  }
}

void Parent::drain() {
  if (over_ || !send(Request::drain, {})) return;
  Errand& errand = errands_.emplace_back();
  errand.set_phase(State::Phase::pending);
  inbox_.pending.push(errand);
}

bool Parent::send(Request request, std::span<const std::byte> message) {
  try {
    std::array<std::byte, channel::pair_bytes> padded{};
    const std::byte* from = message.data();
    if (message.size() <= padded.size()) {
      if (!message.empty()) std::memcpy(padded.data(), message.data(), message.size());
      from = padded.data();
    }
    return sender_.try_send(static_cast<std::uint8_t>(request), from, message.size());
  } catch (const channel::ProtocolViolation&) {
    bury();
    return false;
  }
}

void Parent::lend(std::uint8_t which) {
  if (over_) return;
  constexpr std::size_t most = 8;
  if (which >= 0x80 && lent_.size() < most) lent_.emplace_back(which);
  wire::Buffer message;
  const auto& array = lent_.empty() ? Blocks::here().numbers : lent_[which % lent_.size()];
  wire::encode(message, array);
  if (which % 4 == 0) wire::encode(message, Blocks::here().barrier);
  ledger_.prepare(message.holds());
  if (send(Request::post, message.bytes())) ledger_.grant(message.holds(), sender_.last_position());
}

void Parent::drop_lent(std::size_t which) {
  if (lent_.empty()) return;
  lent_.erase(lent_.begin() + static_cast<std::ptrdiff_t>(which % lent_.size()));
  ledger_.look_again();
}

void Parent::take() {
  if (over_) return;
  try {
    (void)inbox_.has_message();
    (void)inbox_.take();
  } catch (const channel::ProtocolViolation&) {
    bury();
  } catch (const std::bad_alloc&) {
    bury();
  }
}

void Parent::cancel_early(std::size_t which) {
  if (calls_.empty()) return;
  const Pending& pending = calls_[which % calls_.size()];
  if (!pending.call->is_wanted()) return;
  State* const state = pending.states[which % pending.states.size()];
  if (state->phase() != State::Phase::pending) return;
  (void)sender_.mark(state->position);
  state->store_cancelled();
  state->set_phase(State::Phase::early);
}

void Parent::abandon(std::size_t which) {
  if (calls_.empty()) return;
  Call& call = *calls_[which % calls_.size()].call;
  if (call.is_wanted() && !call.is_settled()) call.abandon();
}

void Parent::look() {
  for (auto& pending : calls_)
    if (pending.call->is_wanted() && pending.call->has_outcome()) pending.call->look();
  while (!errands_.empty() && errands_.front().has_outcome()) {
    Errand& errand = errands_.front();
    try {
      const auto count = errand.failed_posts();
      if (errand.failures.has_unreported()) examine(errand.failures.report(1));
      examine(errand.failures.take(count, 1, "fuzz"));
    } catch (...) {
      examine(std::current_exception());  // a child may say that it threw anything
    }
    errands_.pop_front();
  }
  std::erase_if(calls_, [](const Pending& pending) {
    return !pending.call->is_wanted() || pending.call->is_settled();
  });
}

void Parent::report_failures() {
  if (inbox_.failures.has_unreported()) examine(inbox_.failures.report(1));
}

void Parent::restart() {
  if (!over_) return;
  settle_rest();
  look();
  ledger_.end();
  ledger_.begin();
  sender_.restart();
  inbox_.restart();
  over_ = false;
}

void Parent::bury() {
  over_ = true;
  detail::actor::Death death;
  death.worker = "fuzz";
  death.pid = 1;
  std::memcpy(&death.report, &control_->crash, sizeof death.report);
  examine(detail::actor::obituary(std::move(death)));
  settle_rest();
}

void Parent::settle_rest() {
  while (State* state = inbox_.pending.pop()) {
    if (state->phase() == State::Phase::pending)
      state->store_error(std::make_exception_ptr(Error("the worker was buried")));
    detail::actor::finish(*state);
  }
  inbox_.forget_pieces();
}

}  // namespace apalis::fuzz
