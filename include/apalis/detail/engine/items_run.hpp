// SPDX-License-Identifier: BSL-1.0
#pragma once

// The run of a map: all of its batches are items of one range for one callable.

#include <apalis/detail/engine/map_job.hpp>
#include <apalis/detail/engine/run.hpp>
#include <cstddef>
#include <memory>
#include <optional>

namespace apalis::detail::engine {

class ItemsRun final : public Run {
 public:
  /// `items` outlives it.
  ItemsRun(Pool& pool, Pace pace, RunOptions options, ItemSource& items, const MapOrder& order);
  ItemsRun(const ItemsRun&) = delete;
  ItemsRun& operator=(const ItemsRun&) = delete;
  ~ItemsRun() override = default;

  using Run::open_all;

 private:
  std::optional<std::size_t> left() const override { return items_.left(); }
  std::unique_ptr<Batch> next_batch(std::size_t most, const actor::Link& link) override;
  bool write_frame(wire::Buffer& message) const override { return items_.write_frame(message, id()); }

  ItemSource& items_;
  const wire::Entry& entry_;
  const void* const code_;
};

}  // namespace apalis::detail::engine
