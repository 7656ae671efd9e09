// SPDX-License-Identifier: BSL-1.0
#pragma once

// A map's dealings with its engine, whatever its types: no templates, and nothing of how they are
// done.

#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_options.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace apalis::detail::engine {

class EngineCore;
class Seat;

/// A range of items as what is sent of them. **Threads:** one.
class ItemSource {
 public:
  ItemSource(const ItemSource&) = delete;
  ItemSource& operator=(const ItemSource&) = delete;

  /// How many items there are still, where that is known.
  [[nodiscard]] virtual std::optional<std::size_t> left() const = 0;
  /// Appends up to `most` items, fewer at the end of the range; returns how many. Throws what the
  /// range throws.
  virtual std::size_t take(std::size_t most, wire::Buffer& message) = 0;
  /// What is before the items of each batch.
  virtual void begin_batch(wire::Buffer& message) const = 0;
  /// What a worker is sent before its first batch of `run`; false if that is nothing.
  [[nodiscard]] virtual bool write_frame(wire::Buffer& message, std::uint32_t run) const = 0;

 protected:
  ItemSource() = default;
  ~ItemSource() = default;
};

/// What is to be done with them.
struct MapOrder {
  bool ordered = true;    // batches come back in the order of the items
  bool collects = false;  // failed items are results
  bool bounded = false;   // only so many batches are not consumed at once

  // What follows from the types.
  std::string_view name = {};          // the callable's
  const wire::Entry* entry = nullptr;  // of a batch
  const void* code = nullptr;          // that batches lead to; null for none
  bool is_sent = true;                 // workers that there are can be sent all of it
  bool are_small = false;              // items: several may go where one would do
};

/// **Owns** the map's run, and the workers that were forked for it alone.
/// **Threads:** one.
/// **Throws** what the user's progress callback throws.
class MapJob {
 public:
  /// `length`: of the items, where that is known.
  MapJob(EngineCore& core, const MapOptions& options, std::optional<std::size_t> length);
  MapJob(MapJob&&) noexcept;
  MapJob& operator=(MapJob&&) = delete;
  ~MapJob();

  /// Whether it runs in the calling thread. If so:
  [[nodiscard]] bool runs_here() const noexcept;
  [[nodiscard]] std::shared_ptr<Seat> begin_here(std::string_view name);
  void advance(std::size_t items);
  void finish_here();

  /// By workers. `items` lives until end(), which cancels what was not begun. Throws SystemError,
  /// and Error where batched() does not know of how many.
  void begin(ItemSource& items, const MapOrder& order);
  /// The next batch that is done; null once there is none. It stays until the next call.
  Batch* next();
  void end() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[noreturn]] void throw_moved_from();

}  // namespace apalis::detail::engine
