// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of a call with its result type: decodes on the token's thread, when first asked.

#include <apalis/detail/actor/attached.hpp>
#include <apalis/detail/actor/node_cache.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace apalis::detail::actor {

/// Stands for the result of a call that has none.
struct NoValue {};

template <class R>
using stored_t = std::conditional_t<std::is_void_v<R>, NoValue, R>;

/// **Threads:** the token's.
template <class R>
class ResultState : public State {
  static_assert(std::is_void_v<R> || alignof(stored_t<R>) <= 64,
                "apalis: results aligned to more than a cache line can't be held");

 public:
  static void* operator new(std::size_t size) {
    return size <= node_bytes ? allocate_node() : ::operator new(size, node_alignment);
  }
  static void operator delete(void* memory, std::size_t size) noexcept {
    if (size <= node_bytes) {
      free_node(memory);
    } else {
      ::operator delete(memory, node_alignment);
    }
  }

  /// The result, once there is an outcome. Throws what the call threw.
  [[nodiscard]] stored_t<R>& value() {
    if (!value_) {
      value_.emplace(decode(bytes()));
      drop_bytes();
    }
    return *value_;
  }

  /// A result that was computed here, not encoded.
  template <class... Args>
  void emplace(Args&&... args) {
    value_.emplace(std::forward<Args>(args)...);
  }

 protected:
  /// Makes the result of the reply. Throws where it is none.
  virtual stored_t<R> decode(std::span<const std::byte> bytes) = 0;

 private:
  std::optional<stored_t<R>> value_;
};

[[noreturn]] void throw_no_result();

/// That of a call: its result comes as one reply.
template <class R>
class ReplyState final : public ResultState<R> {
  using Block = wire::block_of_t<R>;

  stored_t<R> decode(std::span<const std::byte> bytes) override {
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      if constexpr (!std::is_void_v<Block>) {
        if (this->attached_ != nullptr) [[unlikely]]
          return wire::from_block<R>(
              static_cast<AttachedBlock<Block>&>(*this->attached_).take(bytes));
      }
      wire::Reader reader{bytes};
      return wire::decode<R>(reader);
    }
  }
  std::unique_ptr<State::Attached> make_attached([[maybe_unused]] std::uint64_t size) override {
    if constexpr (!std::is_void_v<Block>) {
      return std::make_unique<AttachedBlock<Block>>(size);
    } else {
      return nullptr;
    }
  }
};

/// One whose result is made in this process: it gets a value by emplace() or an error.
template <class R>
class ComputedState : public ResultState<R> {
  stored_t<R> decode(std::span<const std::byte> /*bytes*/) final { throw_no_result(); }
};

/// Lets go of a state, whatever its phase.
struct Abandon {
  void operator()(State* state) const noexcept {
    if (state->phase() == State::Phase::settled && !state->is_continued_here()) {
      delete state;
    } else if (state->source()->is_here()) {
      state->source()->abandon(*state);
    }  // else: a fork's copy, which no reply will ever reach
  }
};
template <class R>
using OwnedState = std::unique_ptr<ResultState<R>, Abandon>;

}  // namespace apalis::detail::actor
