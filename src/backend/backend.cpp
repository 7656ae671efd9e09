// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/backend.hpp>
#include <apalis/backend/processes.hpp>
#include <apalis/backend/serial.hpp>
#include <apalis/backend/threads.hpp>
#include <apalis/error.hpp>

namespace apalis {

Capabilities capabilities(Backend backend) noexcept {
  switch (backend) {
    case Backend::processes:
      return {.isolates = true, .kills = true, .carries = true, .remote = false};
    case Backend::threads:
    case Backend::serial:
      return {.isolates = false, .kills = false, .carries = true, .remote = false};
  }
  return {};
}

std::string_view to_string(Backend backend) noexcept {
  switch (backend) {
    case Backend::processes:
      return "processes";
    case Backend::threads:
      return "threads";
    case Backend::serial:
      return "serial";
  }
  return "unknown";
}

namespace detail::backend {

actor::Link* open_link(const Options& options, actor::Maker& maker) {
  switch (options.backend) {
    case Backend::processes:
      return ProcessLink::open(options, maker);
    case Backend::threads:
      return ThreadLink::open(options, maker);
    case Backend::serial:
      return SerialLink::open(options, maker);
  }
  throw Error(
      fmt::format("apalis: there is no backend number {}: use Backend::processes, threads or "
                  "serial",
                  static_cast<int>(options.backend)));
}

}  // namespace detail::backend
}  // namespace apalis
