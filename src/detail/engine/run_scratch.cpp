// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/run_scratch.hpp>

namespace apalis::detail::engine {

void RunScratch::end() noexcept {
  constexpr std::size_t most_spare = 8;
  constexpr std::size_t most_sizes = 4096;
  constexpr std::size_t small_message = 4096;
  lanes.clear();
  batches.clear();
  flying.clear();
  landed.clear();
  sources.clear();
  if (sizes.capacity() > most_sizes) sizes = {};
  sizes.clear();
  if (spare.size() > most_spare) spare.erase(spare.begin() + most_spare, spare.end());
  for (auto& batch : spare) {
    batch->callable.reset();
    batch->state.reset();
    batch->error = nullptr;
    batch->message.clear();
    batch->message.shrink(small_message);
  }
}

}  // namespace apalis::detail::engine
