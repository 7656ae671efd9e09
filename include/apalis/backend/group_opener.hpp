// SPDX-License-Identifier: BSL-1.0
#pragma once

// Opens the links of a group, and says what is wrong with its use.

#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/actor/group_makers.hpp>
#include <apalis/options.hpp>
#include <cstddef>

namespace apalis::detail::backend {

/// A worker for each share of `objects` that `maker` makes. Throws as open_link(), having left
/// nothing.
[[nodiscard]] actor::Group* open_group(const GroupOptions& options, std::size_t objects,
                                       actor::GroupMaker& maker);

[[noreturn]] void refuse_group(bool elsewhere);
[[noreturn]] void refuse_index(std::size_t index, std::size_t size);
[[noreturn]] void refuse_call(bool of_handler, std::size_t index, std::size_t size);
[[noreturn]] void refuse_length(std::size_t length, std::size_t size);

}  // namespace apalis::detail::backend
