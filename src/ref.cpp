// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/ref_cache.hpp>
#include <apalis/ref.hpp>

namespace apalis {

void limit_ref_cache(std::size_t bytes) noexcept {
  detail::actor::RefCache::of_this_process().limit(bytes);
}

}  // namespace apalis
