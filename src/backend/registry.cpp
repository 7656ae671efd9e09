// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/processes.hpp>
#include <apalis/backend/registry.hpp>
#include <apalis/backend/serial.hpp>
#include <apalis/backend/threads.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/error.hpp>
#include <array>
#include <atomic>
#include <utility>

namespace apalis::detail::backend {
namespace {

constexpr Entry processes{
    .name = "processes",
    .capabilities = {.isolates = true, .kills = true, .carries = true, .remote = false},
    .base = Backend::processes,
    .open = [](const Options& options, Maker& maker) -> Link* {
      return ProcessLink::open(options, maker);
    }};
constexpr Entry threads{
    .name = "threads",
    .capabilities = {.isolates = false, .kills = false, .carries = true, .remote = false},
    .base = Backend::threads,
    .open = &ThreadLink::open};
constexpr Entry serial{
    .name = "serial",
    .capabilities = {.isolates = false, .kills = false, .carries = true, .remote = false},
    .base = Backend::serial,
    .open = &SerialLink::open};

constexpr std::array<std::pair<std::string_view, Backend>, 7> aliases{{
    {"multiproc", Backend::processes},
    {"multiprocessing", Backend::processes},
    {"concurrent", Backend::processes},
    {"loky", Backend::processes},
    {"fork", Backend::processes},
    {"multithread", Backend::threads},
    {"multithreading", Backend::threads},
}};

constexpr std::size_t most_backends = 256;

// Entries are only ever added, so that they are read without a lock, in a fork of any moment, too.
constinit std::array<std::atomic<const Entry*>, most_backends> entries{&processes, &threads,
                                                                       &serial};
constinit std::atomic<std::size_t> count{3};

constexpr std::size_t index_of(Backend backend) noexcept {
  return static_cast<std::size_t>(backend);  // of a negative number, a large one
}

}  // namespace

Backend add_backend(const Entry& entry) {
  const auto held = sys::lock_forks();
  Backend known{};
  if (find_named(entry.name, known) != nullptr)
    throw Error(
        fmt::format("apalis: there is a backend '{}' already: register another name", entry.name));
  const auto index = count_backends();
  if (index == most_backends)
    throw Error(
        fmt::format("apalis: backend '{}' can't be registered: there are {} already, and "
                    "none ever ends; register each once and use what that returned",
                    entry.name, index));
  entries[index].store(&entry, std::memory_order_release);  // partner: find()
  count.store(index + 1, std::memory_order_release);        // partner: count_backends()
  return static_cast<Backend>(index);
}

const Entry* find(Backend backend) noexcept {
  const auto index = index_of(backend);
  return index < most_backends ? entries[index].load(std::memory_order_acquire) : nullptr;
}

const Entry* find_named(std::string_view name, Backend& backend) noexcept {
  const auto known = count_backends();
  for (std::size_t i = 0; i < known; ++i) {
    const Entry* const entry = entries[i].load(std::memory_order_acquire);
    if (entry->name != name) continue;
    backend = static_cast<Backend>(i);
    return entry;
  }
  const auto* const alias =
      std::ranges::find(aliases, name, &std::pair<std::string_view, Backend>::first);
  if (alias == aliases.end()) return nullptr;
  backend = alias->second;
  return find(backend);
}

bool is_foreign(std::string_view name) noexcept {
  return name == "dask" || name == "kubernetes" || name == "k8s";
}

std::string list_of_names() {
  std::string text;
  const auto known = count_backends();
  for (std::size_t i = 0; i < known; ++i) {
    const char* const comma = i == 0 ? "" : i + 1 == known ? " or " : ", ";
    text += fmt::format("{}'{}'", comma, entries[i].load(std::memory_order_acquire)->name);
  }
  return text;
}

std::size_t count_backends() noexcept {
  return count.load(std::memory_order_acquire);
}

const std::function<void()>* preparation(Backend backend) noexcept {
  const Entry* const entry = find(backend);
  return entry != nullptr ? entry->prepare : nullptr;
}

bool needs_no_worker(Backend backend, std::size_t workers) noexcept {
  const Entry* const entry = find(backend);
  if (entry == nullptr) return false;
  if (entry->base == Backend::serial) return true;
  return workers == 1 && entry->prepare == nullptr && entry->launch == nullptr;
}

void prepare_caller(Backend backend) {
  const Entry* const entry = find(backend);
  if (entry != nullptr && entry->base == Backend::serial && entry->prepare != nullptr)
    (*entry->prepare)();
}

}  // namespace apalis::detail::backend
