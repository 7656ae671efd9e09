// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/items_run.hpp>

namespace apalis::detail::engine {

ItemsRun::ItemsRun(Pool& pool, Pace pace, RunOptions options, ItemSource& items,
                   const MapOrder& order)
    : Run(pool, pace, options), items_(items), entry_(*order.entry), code_(order.code) {}

std::unique_ptr<Batch> ItemsRun::next_batch(std::size_t most, const actor::Link& link) {
  auto batch = fresh();
  begin_message(*batch, entry_, code_);
  items_.begin_batch(batch->message);
  batch->message.allow_attachments(most == 1 && link.takes_attachments());
  batch->count = static_cast<std::uint32_t>(items_.take(most, batch->message));
  return batch->count == 0 ? nullptr : std::move(batch);
}

}  // namespace apalis::detail::engine
