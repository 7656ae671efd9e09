// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/registry.hpp>
#include <apalis/engine_options.hpp>
#include <cstdlib>
#include <string>

namespace apalis {

Backend backend_named(std::string_view name) {
  Backend backend{};
  if (detail::backend::find_named(name, backend) != nullptr) return backend;
  if (detail::backend::is_foreign(name))
    throw Error(fmt::format(
        "apalis: there is no backend '{}': use 'processes' on one machine, 'mpi' on several",
        name));
  const auto names = detail::backend::list_of_names();
  if (name == "mpi")
    throw Error(fmt::format("apalis: this build has no backend 'mpi': use {}", names));
  throw Error(fmt::format("apalis: there is no backend '{}': use {}", name, names));
}

Backend default_backend() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): whoever changes the environment beside threads can't be
  const char* const name = std::getenv("APALIS_BACKEND");  // helped
  if (name == nullptr || *name == '\0') return Backend::processes;
  try {
    return backend_named(name);
  } catch (const Error& error) {
    throw Error(fmt::format("{} (by APALIS_BACKEND)", error.what()));
  }
}

namespace detail::engine {
std::size_t positive(long long number, const char* what) {
  if (number < 1) throw Error(fmt::format("apalis: {} needs a number above 0, not {}", what, number));
  return static_cast<std::size_t>(number);
}
}  // namespace detail::engine

}  // namespace apalis
