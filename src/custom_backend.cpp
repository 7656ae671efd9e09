// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/registry.hpp>
#include <apalis/custom_backend.hpp>
#include <apalis/error.hpp>
#include <memory>
#include <utility>

namespace apalis {
namespace {

using detail::backend::Entry;
using detail::backend::Launch;

/// **Owns** what its entry refers to.
struct Registration {
  std::string name;
  std::function<void()> prepare;
  Launch launch;
  Entry entry;
};

const Entry& checked_base(const std::string& name, const CustomBackend& definition) {
  if (name.empty()) throw Error("apalis: register_backend() needs a name that is not empty");
  if (name == "mpi" || detail::backend::is_foreign(name))
    throw Error(fmt::format(
        "apalis: '{}' stands for something else: register the backend by another name", name));
  if (!definition.prepare_worker && !definition.launch)
    throw Error(fmt::format(
        "apalis: backend '{}' has neither prepare_worker nor launch, so it would be its base: "
        "give one of them",
        name));
  const Entry* const base = detail::backend::find(definition.base);
  if (base == nullptr)
    throw Error(fmt::format("apalis: the base of backend '{}' is no backend ({}): use {}", name,
                            static_cast<int>(definition.base), detail::backend::list_of_names()));
  if (base->capabilities.remote)
    throw Error(
        fmt::format("apalis: backend '{}' can't have the base '{}', whose workers may be "
                    "on other machines: its hooks are not there",
                    name, base->name));
  if (definition.launch && base->base != Backend::threads)
    throw Error(
        fmt::format("apalis: backend '{}' has a launch, which finds threads, but its base "
                    "is '{}': use a base of threads, or prepare_worker alone",
                    name, base->name));
  if (definition.launch && definition.launch_timeout.count() <= 0)
    throw Error(
        fmt::format("apalis: the launch_timeout of backend '{}' needs to be above 0, not "
                    "{} ms",
                    name, definition.launch_timeout.count()));
  return *base;
}

std::function<void()> one_after_another(const std::function<void()>* first,
                                        std::function<void()> second) {
  if (first == nullptr) return second;
  if (!second) return *first;
  return [first, second = std::move(second)] {
    (*first)();
    second();
  };
}

}  // namespace

Backend register_backend(std::string name, CustomBackend definition) {
  const Entry& base = checked_base(name, definition);
  auto made = std::make_unique<Registration>(
      Registration{.name = std::move(name),
                   .prepare = one_after_another(base.prepare, std::move(definition.prepare_worker)),
                   .launch = {std::move(definition.launch), definition.launch_timeout},
                   .entry = base});
  made->entry.name = made->name;
  if (made->prepare) made->entry.prepare = &made->prepare;
  if (made->launch.run) made->entry.launch = &made->launch;
  const Backend backend = detail::backend::add_backend(made->entry);
  (void)made.release();  // the registry's, for good
  return backend;
}

}  // namespace apalis
