// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/engine_options.hpp>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

namespace apalis {
namespace {

constexpr std::array<std::pair<std::string_view, Backend>, 10> names{{
    {"processes", Backend::processes},
    {"threads", Backend::threads},
    {"serial", Backend::serial},
    {"multiproc", Backend::processes},
    {"multiprocessing", Backend::processes},
    {"concurrent", Backend::processes},
    {"loky", Backend::processes},
    {"fork", Backend::processes},
    {"multithread", Backend::threads},
    {"multithreading", Backend::threads},
}};

}  // namespace

Backend backend_named(std::string_view name) {
  const auto found =
      std::ranges::find(names, name, &std::pair<std::string_view, Backend>::first);
  if (found != names.end()) return found->second;
  if (name == "dask" || name == "kubernetes" || name == "k8s")
    throw Error(fmt::format(
        "apalis: there is no backend '{}': use 'processes' on one machine, 'mpi' on several", name));
  if (name == "mpi")
    throw Error("apalis: this build has no backend 'mpi': use 'processes', 'threads' or 'serial'");
  throw Error(fmt::format(
      "apalis: there is no backend '{}': use 'processes', 'threads' or 'serial'", name));
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
