// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of many calls sent as one.

#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <apalis/outcome.hpp>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::detail::actor {

template <class R>
using batch_result_t = std::conditional_t<std::is_void_v<R>, void, std::vector<R>>;

/// Throws the BatchError that says which calls failed and how the first did.
template <class R>
[[noreturn]] void throw_batch_error(std::vector<Outcome<R>> outcomes);

/// "apalis: 2 of 1000 calls of a batch failed; the first, number 7: <what>"
[[nodiscard]] std::string batch_error_text(std::size_t calls, std::size_t failures,
                                           std::size_t first, const std::exception_ptr& error);

/// **Threads:** the token's.
template <class R>
class BatchState final : public ResultState<batch_result_t<R>> {
 public:
  using Results = batch_result_t<R>;
  explicit BatchState(std::size_t calls) noexcept : calls_(calls) {}

 private:
  stored_t<Results> decode(std::span<const std::byte> bytes) override {
    wire::Reader reader{bytes};
    if constexpr (std::is_void_v<R>) {
      if (wire::decode_batch_values(reader, calls_)) return {};
    } else {
      std::vector<R> values;
      if (wire::decode_batch_values<R>(reader, calls_, values)) return values;
    }
    wire::Reader again{bytes};
    throw_batch_error(wire::decode_batch<R>(again, calls_, this->source()->pid()));
  }

  std::size_t calls_;
};

template <class R>
[[noreturn]] void throw_batch_error(std::vector<Outcome<R>> outcomes) {
  std::size_t failures = 0;
  std::size_t first = 0;
  for (std::size_t i = outcomes.size(); i-- > 0;) {
    if (outcomes[i].has_value()) continue;
    ++failures;
    first = i;
  }
  const auto text =
      batch_error_text(outcomes.size(), failures, first, outcomes[first].error());
  throw BatchError(text, failures, std::move(outcomes));
}

}  // namespace apalis::detail::actor
