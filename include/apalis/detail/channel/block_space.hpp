// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which parts of a range of addresses are taken: the bookkeeping of the region's blocks.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace apalis::detail::channel {

/// What a new block's bytes are.
enum class Content : std::uint8_t { zero, any };

/// First fit over whole pages. The lowest place that fits keeps what is in use together, so that
/// few ranges of a child's mapping differ in what it may see.
///
/// **Owns** nothing but numbers, in this process's private memory.
/// **Threads:** one at a time.
/// **Throws** std::bad_alloc from take() only.
class BlockSpace {
 public:
  explicit BlockSpace(std::size_t bytes);

  /// Rounded up to whole pages.
  [[nodiscard]] static std::size_t rounded(std::size_t bytes) noexcept;

  /// Where `bytes` (at least 1) are free, as an offset; they are taken then. Nothing if there is no
  /// place that large.
  [[nodiscard]] std::optional<std::size_t> take(std::size_t bytes);
  /// Takes back what take(bytes) gave.
  void give_back(std::size_t offset, std::size_t bytes) noexcept;

  /// Nothing was ever taken from here on.
  [[nodiscard]] std::size_t reach() const noexcept { return reach_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }

 private:
  struct Range {
    std::size_t offset;
    std::size_t bytes;
  };
  std::vector<Range> free_;  // by offset; neighbours do not touch
  std::size_t taken_ = 0;    // ranges
  std::size_t reach_ = 0;
  std::size_t bytes_;
};

}  // namespace apalis::detail::channel
