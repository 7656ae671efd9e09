// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options among a map's arguments, as one.

#include <apalis/engine_options.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace apalis::detail::engine {

/// What one map was told beside its callable, items and arguments.
struct MapOptions {
  std::optional<Batched> batched;
  std::optional<BatchSize> batch_size;
  std::optional<Length> length;
  std::uint32_t retries = 0;
  bool deterministic = false;

  void set(Batched value) noexcept { batched = value; }
  void set(BatchSize value) noexcept { batch_size = value; }
  void set(Length value) noexcept { length = value; }
  void set(Retries value) noexcept { retries = value.count; }
  void set(Deterministic /*value*/) noexcept { deterministic = true; }

  [[nodiscard]] std::optional<std::size_t> most_items() const noexcept {
    return length ? std::optional{length->items} : std::nullopt;
  }
};

}  // namespace apalis::detail::engine
