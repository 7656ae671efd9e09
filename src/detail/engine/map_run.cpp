// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/map_run.hpp>
#include <apalis/detail/sys/memory.hpp>

namespace apalis::detail::engine {

void prepare_room(void* start, std::size_t bytes) noexcept { sys::prefer_huge_pages(start, bytes); }

}  // namespace apalis::detail::engine
