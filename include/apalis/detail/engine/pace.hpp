// SPDX-License-Identifier: BSL-1.0
#pragma once

// How many items go to a worker at once.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace apalis::detail::engine {

/// Batches of a number, or of a size, that was asked for; or else of a size that follows what the
/// items were measured to cost: long enough that sending one costs little, and smaller towards the
/// end so that the workers end together (guided self-scheduling: Polychronopoulos and Kuck, 1987).
///
/// **Threads:** one at a time.
class Pace {
 public:
  /// Of a measured size. `are_small`: several items may be sent where one would do.
  explicit Pace(std::size_t workers, bool are_small = false) noexcept
      : workers_(workers), first_(are_small ? several : 1) {}
  /// That many batches of `length` items, which differ by one item at most.
  [[nodiscard]] static Pace of_batches(std::size_t batches, std::size_t length) noexcept;
  [[nodiscard]] static Pace of_size(std::size_t items) noexcept;

  /// The size of the next batch; `left`: items, where that is known. At least 1.
  [[nodiscard]] std::size_t next(std::optional<std::size_t> left) noexcept;

  /// How many workers are worth waking for what is left, as far as that is known.
  [[nodiscard]] std::size_t useful_workers(std::optional<std::size_t> left) const noexcept;
  /// Whether it is for the pace to say how items are shared out.
  [[nodiscard]] bool is_free() const noexcept { return fixed_ == 0; }
  /// Whether nothing is known yet, and the first batch should say something before others are sent.
  [[nodiscard]] bool is_probing() const noexcept { return fixed_ == 0 && largest_ == 0; }
  /// The first batch takes long: until it is known how long, items go one by one.
  void expect_long() noexcept { first_ = 1; }
  /// How long that many items will take; 0 while nothing is known.
  [[nodiscard]] std::chrono::nanoseconds expected(std::size_t items) const noexcept {
    return std::chrono::nanoseconds{
        static_cast<std::chrono::nanoseconds::rep>(cost_ * static_cast<double>(items))};
  }
  /// How long the last batch took.
  [[nodiscard]] std::chrono::nanoseconds last() const noexcept { return last_; }

  /// A batch came back.
  void learn(std::size_t items, std::chrono::nanoseconds busy, std::size_t bytes) noexcept;

  /// How many batches a worker should have at once: the one that it runs, and so many behind it that
  /// it need not wait for a parent that has to wait for a core.
  [[nodiscard]] std::uint32_t depth() const noexcept { return depth_; }

 private:
  static constexpr std::size_t several = 8;

  Pace() = default;

  std::size_t workers_ = 1;
  std::size_t first_ = 1;    // items of the first batch
  std::size_t fixed_ = 0;    // items; 0: measured
  std::size_t longer_ = 0;   // so many batches have one item more
  double cost_ = 0;          // nanoseconds an item; 0: not known
  double bytes_ = 0;         // an item
  std::size_t largest_ = 0;  // batch so far that came back
  std::chrono::nanoseconds last_{0};
  std::uint32_t depth_ = 1;
};

}  // namespace apalis::detail::engine
