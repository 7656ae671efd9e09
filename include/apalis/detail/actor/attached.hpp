// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where a large result is put together while it arrives, to be its token's value.

#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace apalis::detail::actor {

/// A result that is one vector or string, built as its bytes come.
///
/// **Peer:** no more memory is taken than a fixed amount and what the bytes that came need.
template <class Block>
class AttachedBlock final : public State::Attached {
  static constexpr std::size_t stride = sizeof(typename Block::value_type);

 public:
  explicit AttachedBlock(std::uint64_t size) {
    constexpr std::uint64_t most_believed = std::uint64_t{1} << 28;
    value_.reserve(static_cast<std::size_t>(size < most_believed ? size : most_believed) / stride);
  }
  void append(std::span<const std::byte> chunk) override {
    if (chunk.size() % stride != 0) wire::throw_torn_element();
    wire::append_chunk(value_, chunk);
  }
  /// Throws Malformed unless `head` announces just this.
  [[nodiscard]] Block take(std::span<const std::byte> head) {
    if (wire::Reader{head}.read_attached_count() != value_.size()) wire::throw_torn_element();
    return std::move(value_);
  }

 private:
  Block value_;
};

}  // namespace apalis::detail::actor
