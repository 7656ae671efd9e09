// SPDX-License-Identifier: BSL-1.0
#pragma once

// The run of a map: all of its batches are items of one range for one callable.

#include <apalis/detail/engine/run.hpp>
#include <cstddef>
#include <memory>

namespace apalis::detail::engine {

class ItemsRun : public Run {
 public:
  using Run::Run;
  ItemsRun(const ItemsRun&) = delete;
  ItemsRun& operator=(const ItemsRun&) = delete;

 protected:
  ~ItemsRun() override = default;

  /// Appends up to `most` items, fewer at the end of the range; returns how many.
  virtual std::size_t take(std::size_t most, wire::Buffer& message) = 0;
  [[nodiscard]] virtual const wire::Entry& batch_entry() const noexcept = 0;
  /// What is before the items of each batch.
  virtual void begin_batch(wire::Buffer& message) const = 0;
  /// Code that the messages lead to; null for none.
  [[nodiscard]] virtual const void* code() const noexcept { return nullptr; }

 private:
  std::unique_ptr<Batch> next_batch(std::size_t most, const actor::Link& link) final;
};

}  // namespace apalis::detail::engine
