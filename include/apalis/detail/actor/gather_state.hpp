// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of calls that went to several workers, a message each.

#include <apalis/detail/actor/batch_state.hpp>
#include <apalis/detail/actor/worker_group.hpp>
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
  /// One call of each object, in order.
  CallOrder(std::size_t objects, std::size_t workers) noexcept
      : calls_(objects), workers_(static_cast<std::uint32_t>(workers)) {}
  /// As they are added.
  explicit CallOrder(std::size_t workers) noexcept : CallOrder(0, workers) {}

  void reserve(std::size_t calls);
  void add(std::uint32_t worker);

  [[nodiscard]] std::size_t calls() const noexcept { return calls_; }

  /// Calls `use(worker)` for each call, until it returns false.
  template <class Use>
  bool for_each(Use use) const {
    if (!listed_.empty()) {
      for (const auto worker : listed_)
        if (!use(worker)) return false;
      return true;
    }
    std::uint32_t worker = 0;
    for (std::size_t i = 0; i < calls_; ++i) {
      if (!use(worker)) return false;
      if (++worker == workers_) worker = 0;
    }
    return true;
  }

 private:
  std::size_t calls_;
  std::uint32_t workers_;
  std::vector<std::uint32_t> listed_;
};

/// What the workers answered, to be read one call after the other.
class Replies {
 public:
  explicit Replies(const Parts& parts);
  Replies(const Replies&) = delete;
  Replies& operator=(const Replies&) = delete;
  ~Replies();

  /// Whether no part failed as a whole.
  [[nodiscard]] bool all_there() const noexcept;

  [[nodiscard]] wire::Reader& operator[](std::uint32_t worker) noexcept;
  /// Why the part, or the rest of it, has no outcomes; null if it has.
  [[nodiscard]] const std::exception_ptr& error(std::uint32_t worker) const noexcept;
  [[nodiscard]] pid_t pid(std::uint32_t worker) const noexcept;
  /// The exception in flight is why the rest has none.
  void fail(std::uint32_t worker) noexcept;

 private:
  struct Reply;
  Reply* replies_;  // owned, one a worker
  std::uint32_t workers_;
};

template <class R, bool collected>
using gathered_t = std::conditional_t<collected, std::vector<Outcome<R>>, batch_result_t<R>>;

/// `collected`: failures are part of the result and not thrown.
/// **Threads:** the token's.
template <class R, bool collected = false>
class GatherState final : public ResultState<gathered_t<R, collected>>, public Parts {
 public:
  using Results = gathered_t<R, collected>;

  GatherState(Group& group, CallOrder order) : Parts(group.workers()), order_(std::move(order)) {
    State::attach(group);
    whole_ = this;
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
      if (this->all_cancelled())
        throw Cancelled("apalis: the batch was cancelled before any of it began");
      throw_batch_error(outcomes());
    }
  }

  /// False if some call has no value.
  bool decode_values([[maybe_unused]] stored_t<Results>& values) {
    Replies replies{*this};
    if (!replies.all_there()) return false;
    if constexpr (!std::is_void_v<R>) values.reserve(order_.calls());
    return order_.for_each([&](std::uint32_t worker) {
      wire::Reader& reader = replies[worker];
      if (wire::read_status(reader) != wire::CallStatus::ok) return false;
      if constexpr (!std::is_void_v<R>) values.push_back(wire::decode<R>(reader));
      return true;
    });
  }

  std::vector<Outcome<R>> outcomes() {
    Replies replies{*this};
    std::vector<Outcome<R>> outcomes;
    outcomes.reserve(order_.calls());
    (void)order_.for_each([&](std::uint32_t worker) {
      if (replies.error(worker) == nullptr) {
        wire::Reader& reader = replies[worker];
        try {
          if (wire::read_status(reader) == wire::CallStatus::failed) {
            outcomes.emplace_back(wire::read_failure(reader, replies.pid(worker)));
          } else if constexpr (std::is_void_v<R>) {
            outcomes.emplace_back(std::in_place);
          } else {
            outcomes.emplace_back(std::in_place, wire::decode<R>(reader));
          }
          return true;
        } catch (...) {
          replies.fail(worker);  // nothing after it can be read
        }
      }
      outcomes.emplace_back(replies.error(worker));
      return true;
    });
    return outcomes;
  }

  CallOrder order_;
};

}  // namespace apalis::detail::actor
