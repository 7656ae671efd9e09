// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/backend.hpp>
#include <apalis/backend/registry.hpp>
#include <apalis/error.hpp>

namespace apalis {

Capabilities capabilities(Backend backend) noexcept {
  const auto* const entry = detail::backend::find(backend);
  return entry != nullptr ? entry->capabilities : Capabilities{};
}

std::string_view to_string(Backend backend) noexcept {
  const auto* const entry = detail::backend::find(backend);
  return entry != nullptr ? entry->name : "unknown";
}

namespace detail::backend {

actor::Link* open_link(const Options& options, actor::Maker& maker) {
  if (const Entry* const entry = find(options.backend)) return entry->open(options, maker);
  throw Error(
      fmt::format("apalis: there is no backend number {}: use Backend::processes, threads or "
                  "serial, or what register_backend() returned before this process was forked",
                  static_cast<int>(options.backend)));
}

}  // namespace detail::backend
}  // namespace apalis
