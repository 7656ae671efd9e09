// SPDX-License-Identifier: BSL-1.0
#pragma once

// The backends that there are: the built-in ones, then those that were registered.

#include <apalis/detail/actor/link.hpp>
#include <apalis/options.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace apalis::detail::backend {

/// How a thread for a worker's body is found, and how long that may take.
struct Launch {
  std::function<void(std::function<void()>)> run;
  std::chrono::milliseconds timeout;
};

/// A backend. It, and what it refers to, lives as long as the process.
struct Entry {
  std::string_view name;
  Capabilities capabilities;
  Backend base;  ///< the built-in one whose links it opens; serial for links without a worker
  actor::Link* (*open)(const Options& options, actor::Maker& maker);
  const std::function<void()>* prepare = nullptr;  ///< what a worker does first, if anything
  const Launch* launch = nullptr;                  ///< of threads: null for threads of our own
};

/// Makes it known by its name, as the value that is returned: to forks and fork servers that this
/// process makes from now on, too. A link of another kind than the built-in ones has to see to
/// `prepare` itself. **Threads:** any. Throws Error where the name is taken, or the places are.
[[nodiscard]] Backend add_backend(const Entry& entry);

/// Null for a number that is no backend's. **Threads:** any, without a lock.
[[nodiscard]] const Entry* find(Backend backend) noexcept;

/// By a name or an alias; null if there is none.
[[nodiscard]] const Entry* find_named(std::string_view name, Backend& backend) noexcept;

/// Names that would promise another thing: dask, kubernetes.
[[nodiscard]] bool is_foreign(std::string_view name) noexcept;

/// "'processes', 'threads' or 'serial'", and those that were registered.
[[nodiscard]] std::string list_of_names();

/// How many there are: those that are registered later have higher numbers.
[[nodiscard]] std::size_t count_backends() noexcept;

/// What a worker does first; null if nothing.
[[nodiscard]] const std::function<void()>* preparation(Backend backend) noexcept;

/// Whether an engine of up to that many workers needs none: calls then run in the caller. One
/// worker is made all the same where its hooks make it what it is.
[[nodiscard]] bool needs_no_worker(Backend backend, std::size_t workers) noexcept;

/// What a worker would do first, where there is none and the caller stands in: of serial ones.
void prepare_caller(Backend backend);

}  // namespace apalis::detail::backend
