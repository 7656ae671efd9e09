// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of calls that went to several workers, a message each.

#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/group.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <apalis/outcome.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::detail::actor {

/// Which worker runs the calls, one after the other.
class CallOrder {
 public:
  /// In turn, from the first worker on.
  CallOrder(std::size_t calls, std::uint32_t workers) noexcept : calls_(calls), workers_(workers) {}
  /// As listed.
  explicit CallOrder(std::vector<std::uint32_t> listed) noexcept
      : calls_(listed.size()), listed_(std::move(listed)) {}

  [[nodiscard]] std::size_t calls() const noexcept { return calls_; }

  /// Calls `use(worker)` for each call, until it returns false.
  template <class Use>
  bool for_each(Use use) const {
    if (!listed_.empty()) {
      for (const auto worker : listed_)
        if (!use(worker)) return false;
      return true;
    }
    for (std::size_t i = 0, worker = 0; i < calls_; ++i) {
      if (!use(worker)) return false;
      if (++worker == workers_) worker = 0;
    }
    return true;
  }

 private:
  std::size_t calls_;
  std::uint32_t workers_ = 1;
  std::vector<std::uint32_t> listed_;
};

template <class R, bool collected>
using gathered_t = std::conditional_t<collected, std::vector<Outcome<R>>, batch_result_t<R>>;

/// Throws Cancelled if that is what all of them are.
[[nodiscard]] bool all_cancelled(const Parts& parts);

/// `collected`: failures are part of the result and not thrown.
/// **Threads:** the token's.
template <class R, bool collected = false>
class GatherState final : public ResultState<gathered_t<R, collected>>, public Parts {
 public:
  using Results = gathered_t<R, collected>;

  GatherState(Group& group, CallOrder order) : Parts(group.workers()), order_(std::move(order)) {
    State::attach(group);
    whole = this;
    this->set_phase(State::Phase::pending);
  }

  Parts* parts() noexcept override { return this; }

 private:
  stored_t<Results> decode(std::span<const std::byte> /*none*/) override {
    if constexpr (collected) {
      return outcomes();
    } else {
      stored_t<Results> values;
      if (decode_values(values)) return values;
      if (all_cancelled(*this))
        throw Cancelled("apalis: the batch was cancelled before any of it began");
      throw_batch_error(outcomes());
    }
  }

  /// False if some call has no value.
  bool decode_values([[maybe_unused]] stored_t<Results>& values) {
    std::vector<wire::Reader> readers;
    readers.reserve(states.size());
    for (const auto& state : states) {
      if (state != nullptr && state->error() != nullptr) return false;
      readers.emplace_back(state != nullptr ? state->bytes() : std::span<const std::byte>{});
    }
    if constexpr (!std::is_void_v<R>) values.reserve(order_.calls());
    return order_.for_each([&](std::size_t worker) {
      wire::Reader& reader = readers[worker];
      if (wire::read_status(reader) != wire::CallStatus::ok) return false;
      if constexpr (!std::is_void_v<R>) values.push_back(wire::decode<R>(reader));
      return true;
    });
  }

  std::vector<Outcome<R>> outcomes() {
    struct Answer {
      wire::Reader reader{std::span<const std::byte>{}};
      std::exception_ptr error;  // of the whole part
      pid_t pid = 0;
    };
    std::vector<Answer> answers(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (states[i] == nullptr) continue;
      answers[i].error = states[i]->error();
      answers[i].pid = states[i]->source()->pid();
      if (answers[i].error == nullptr) answers[i].reader = wire::Reader{states[i]->bytes()};
    }
    std::vector<Outcome<R>> outcomes;
    outcomes.reserve(order_.calls());
    (void)order_.for_each([&](std::size_t worker) {
      auto& [reader, error, pid] = answers[worker];
      if (error == nullptr) {
        try {
          if (wire::read_status(reader) == wire::CallStatus::failed) {
            outcomes.emplace_back(wire::read_failure(reader, pid));
          } else if constexpr (std::is_void_v<R>) {
            outcomes.emplace_back(std::in_place);
          } else {
            outcomes.emplace_back(std::in_place, wire::decode<R>(reader));
          }
          return true;
        } catch (...) {
          error = std::current_exception();  // nothing after it can be read
        }
      }
      outcomes.emplace_back(error);
      return true;
    });
    return outcomes;
  }

  CallOrder order_;
};

}  // namespace apalis::detail::actor
