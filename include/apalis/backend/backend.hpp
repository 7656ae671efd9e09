// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where a handler's calls run. The concept that every backend models is actor::Link; this is the
// one place that knows which there are.

#include <apalis/detail/actor/link.hpp>
#include <apalis/options.hpp>

namespace apalis::detail::backend {

/// Opens a link of options.backend to an object that `maker` makes where it will live.
/// Throws SystemError, and Error for an unknown backend.
[[nodiscard]] actor::Link* open_link(const Options& options, actor::Maker& maker);

}  // namespace apalis::detail::backend
