// SPDX-License-Identifier: BSL-1.0
#pragma once

// The object under stress. A local Ledger that saw the same operations is the model: each thread
// uses a lane of its own, so the order of a lane is that thread's FIFO.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

[[nodiscard]] inline std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15U ^ (b + 0x7f4a7c15U + (a << 6U) + (a >> 2U));
  x ^= x >> 29U;
  return x * 0xbf58476d1ce4e5b9U;
}

[[nodiscard]] inline std::uint64_t digest_of(std::uint64_t x) {
  return x;
}
[[nodiscard]] inline std::uint64_t digest_of(std::string_view s) {
  std::uint64_t d = s.size();
  // Both ends and some of the middle: enough to tell bytes that went astray.
  const std::size_t step = s.size() / 64 + 1;
  for (std::size_t i = 0; i < s.size(); i += step) d = mixed(d, static_cast<unsigned char>(s[i]));
  return s.empty() ? d : mixed(d, static_cast<unsigned char>(s.back()));
}
[[nodiscard]] inline std::uint64_t digest_of(std::span<const std::uint32_t> xs) {
  std::uint64_t d = xs.size();
  const std::size_t step = xs.size() / 64 + 1;
  for (std::size_t i = 0; i < xs.size(); i += step) d = mixed(d, xs[i]);
  return xs.empty() ? d : mixed(d, xs.back());
}

class Ledger {
 public:
  static constexpr std::size_t lane_count = 4;
  static constexpr std::size_t shelf_size = 8;

  struct Lane {
    std::uint64_t digest = 0;
    std::array<std::string, shelf_size> shelf;
    template <class Archive>
    void serialize(Archive& archive) {
      archive(digest, shelf);
    }
    friend bool operator==(const Lane&, const Lane&) = default;
  };
  std::array<Lane, lane_count> lanes;

  std::uint64_t mix(std::size_t lane, std::uint64_t x) {
    auto& d = lanes.at(lane).digest;
    return d = mixed(d, x);
  }
  std::string put(std::size_t lane, std::size_t slot, std::string text) {
    mix(lane, digest_of(text));
    return std::exchange(lanes.at(lane).shelf.at(slot), std::move(text));
  }
  std::uint64_t append(std::size_t lane, std::size_t slot, const std::string& text) {
    auto& s = lanes.at(lane).shelf.at(slot);
    if (s.size() > 200'000) s.clear();
    s += text;
    return mix(lane, s.size());
  }
  const std::string& peek(std::size_t lane, std::size_t slot) const {
    return lanes.at(lane).shelf.at(slot);
  }
  std::uint64_t sum(std::size_t lane, std::span<const std::uint32_t> xs) {
    return mix(lane, digest_of(xs));
  }
  std::uint64_t view(std::size_t lane, std::string_view text) { return mix(lane, digest_of(text)); }
  std::vector<std::uint32_t> range(std::size_t lane, std::uint32_t first, std::size_t n) {
    std::vector<std::uint32_t> v(n);
    for (auto& x : v) x = first++;
    mix(lane, n);
    return v;
  }
  std::uint64_t refuse(std::size_t lane, std::uint64_t x) {
    mix(lane, x);
    if (x % 2 == 0) throw std::out_of_range(std::to_string(x));
    throw std::runtime_error(std::to_string(x));
  }
  // Changes nothing: it may be cancelled.
  std::string echo(const std::string& text) const { return text; }
};
