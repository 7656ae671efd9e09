// SPDX-License-Identifier: BSL-1.0
#pragma once

// Backends of your own: what workers do first, and whose threads they are.
//
//   const auto pooled = apalis::register_backend(
//       "pooled", {.base = apalis::Backend::threads,
//                  .launch = [](std::function<void()> body) { pool.submit(std::move(body)); }});
//   apalis::Handler<Solver> h{{.backend = pooled}, std::in_place, mesh};
//   apalis::Engine engine{"pooled"};                       // or APALIS_BACKEND=pooled

#include <apalis/options.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace apalis {

/// A backend that is made from another one.
struct CustomBackend {
  /// processes, threads, serial, or one that was registered: then its prepare_worker runs first,
  /// and its launch is used unless there is one here.
  Backend base = Backend::processes;

  /// Called in each worker before Options::on_worker_start, also in those that replace it: by
  /// several threads at once where the base is threads. Of serial, by the caller where an object is
  /// made, and by an Engine once. What it throws, every call fails with.
  std::function<void()> prepare_worker = {};

  /// Of threads only: gets the body of a worker, has some other thread call it once, and returns
  /// without waiting. The body returns when the worker ends, so each worker keeps a thread for
  /// itself as long as it lives; its affinity is then as it was, its name and signal mask never
  /// change. What it throws, the constructor of the handler throws.
  ///
  /// Called wherever a worker is made, by several threads at once if handlers are, and while an
  /// engine's lock is held: it must not use apalis.
  std::function<void(std::function<void()> body)> launch = {};

  /// How long launch may take to return, and a thread to call the body: a constructor that waits
  /// for longer throws Error or TimedOut, and a thread that comes later finds nothing to do.
  std::chrono::milliseconds launch_timeout = std::chrono::seconds{30};
};

/// Makes a backend known for the rest of the process, by the value returned and by its name, which
/// backend_named(), APALIS_BACKEND and to_string() then know, too.
///
/// **Threads:** any.
/// **Fork:** workers, and other forks, that are made later know it; those made earlier do not. So
/// does a ForkServer, whose workers call prepare_worker only if it was registered before start().
/// Forks have the hooks, but not the threads that a launch hands workers to.
/// **Throws** Error for a name that is empty or taken, a base that does not exist, a launch for
/// anything but threads, a time limit that is none, and where there is neither hook.
Backend register_backend(std::string name, CustomBackend definition);

}  // namespace apalis
