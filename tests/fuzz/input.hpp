// SPDX-License-Identifier: BSL-1.0
#pragma once

// A fuzzer's bytes as what a target asks for. Whatever is asked for behind the end is zero.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace apalis::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : left_(data, size) {}

  [[nodiscard]] bool at_end() const noexcept { return left_.empty(); }

  template <class T>
  [[nodiscard]] T number() noexcept {
    static_assert(std::is_unsigned_v<T>);
    T value = 0;
    const auto bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  /// Up to n bytes: fewer at the end.
  [[nodiscard]] std::span<const std::byte> take(std::size_t n) noexcept {
    n = std::min(n, left_.size());
    const auto taken = std::as_bytes(left_.first(n));
    left_ = left_.subspan(n);
    return taken;
  }
  [[nodiscard]] std::span<const std::byte> rest() noexcept { return take(left_.size()); }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace apalis::fuzz
