// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/items_run.hpp>

namespace apalis::detail::engine {

std::unique_ptr<Batch> ItemsRun::next_batch(std::size_t most, const actor::Link& link) {
  auto batch = fresh();
  begin_message(*batch, batch_entry(), code());
  begin_batch(batch->message);
  batch->message.allow_attachments(most == 1 && link.takes_attachments());
  batch->count = static_cast<std::uint32_t>(take(most, batch->message));
  return batch->count == 0 ? nullptr : std::move(batch);
}

}  // namespace apalis::detail::engine
