// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/detail/engine/items_run.hpp>
#include <apalis/detail/engine/map_job.hpp>
#include <apalis/error.hpp>
#include <utility>

namespace apalis::detail::engine {

struct MapJob::Impl {
  Impl(EngineCore& c, const MapOptions& o, std::optional<std::size_t> l)
      : core(c), options(o), length(l), watch(c, l) {}

  EngineCore& core;
  const MapOptions options;
  const std::optional<std::size_t> length;
  MapWatch watch;
  std::unique_ptr<Pool> own_pool;
  std::optional<ItemsRun> run;  // ends before its workers do
};

MapJob::MapJob(EngineCore& core, const MapOptions& options, std::optional<std::size_t> length)
    : impl_(std::make_unique<Impl>(core, options, length)) {}

MapJob::MapJob(MapJob&&) noexcept = default;
MapJob::~MapJob() = default;

bool MapJob::runs_here() const noexcept { return impl_->core.runs_here(); }

std::shared_ptr<Seat> MapJob::begin_here(std::string_view name) {
  impl_->watch.set_name(name);
  return impl_->core.seat();
}

void MapJob::advance(std::size_t items) { impl_->watch.advance(items); }
void MapJob::finish_here() { impl_->watch.finish_here(); }

void MapJob::begin(ItemSource& items, const MapOrder& order) {
  // So many that a slow one does not keep the others waiting for long.
  constexpr std::size_t bound = 8;
  auto& [core, options, length, watch, own_pool, run] = *impl_;
  watch.set_name(order.name);
  try {
    const auto pace = core.pace(options, length, order.are_small);
    if (!order.is_sent && core.backend() == Backend::processes) own_pool = core.make_carried_pool();
    run.emplace(own_pool != nullptr ? *own_pool : core.pool(), pace,
                RunOptions{.ordered = order.ordered,
                           .collects = order.collects,
                           .retries = options.retries,
                           .most_batches = order.bounded ? bound * core.workers() : 0,
                           .watch = &watch},
                items, order);
    // All of them now: what they have is what there is now.
    if (own_pool != nullptr) run->open_all(length.value_or(core.workers()));
  } catch (...) {
    end();
    throw;
  }
}

Batch* MapJob::next() { return impl_->run->next(); }

void MapJob::end() noexcept {
  impl_->run.reset();
  impl_->own_pool.reset();
}

void throw_moved_from() { throw Error("apalis: this engine was moved from"); }

}  // namespace apalis::detail::engine
