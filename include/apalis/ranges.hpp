// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cuts 0, 1, … n - 1 into one stretch a worker.
//
//   for (auto [first, last] : apalis::ranges(users.size(), {.min_range_size = 100}))
//     group.run(render, first, last);

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {
namespace detail {

/// A number that came as any integral type. One below zero is refused by who takes it: as a
/// size_t it would be a huge one.
class Count {
 public:
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  constexpr Count(T number) noexcept  // NOLINT(google-explicit-constructor)
      : value_(static_cast<std::size_t>(number)) {
    if constexpr (std::is_signed_v<T>) is_negative_ = number < 0;
  }

  /// Means nothing if it is negative.
  [[nodiscard]] constexpr std::size_t value() const noexcept { return value_; }
  [[nodiscard]] constexpr bool is_negative() const noexcept { return is_negative_; }

 private:
  std::size_t value_;
  bool is_negative_ = false;
};

}  // namespace detail

struct RangesOptions {
  /// No range but the last is shorter: below some size a task costs more than it saves.
  detail::Count min_range_size = 0;

  /// How many ranges there are at most; by default cpu_count().
  std::optional<detail::Count> workers = std::nullopt;
};

/// Pairs of first and one past the last: ascending, none empty, all of the same size but the last,
/// which may be shorter. None for a count of 0.
///
/// **Throws** Error: a negative number, no workers.
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> ranges(
    detail::Count count, const RangesOptions& options = {});

/// The same for the indices of a container or of another range that knows its size.
template <class R>
  requires requires(R& range) { std::size(range); }
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> ranges(
    R&& range, const RangesOptions& options = {}) {  // NOLINT: asked for its size only
  return ranges(detail::Count(std::size(range)), options);
}

}  // namespace apalis
