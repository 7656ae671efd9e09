// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a handler's worker is made and ended.
//
//   apalis::Handler<Solver> h{{.name = "solver", .cpu = 1}, std::in_place, mesh};

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace apalis {

/// What runs the calls.
enum class Backend {
  processes,  ///< a process for each object
  serial,     ///< the caller itself, inside call(): for debugging, and as the baseline
};

/// What a backend can do beyond running calls in order.
struct Capabilities {
  bool isolates = false;  ///< a crash of the object is survived; its globals are its own
  bool kills = false;     ///< kill() and time-outs end a call that would not end by itself
  bool carries = false;   ///< an object need not be serialisable to get there
  bool remote = false;    ///< the object may live on another machine
};

[[nodiscard]] Capabilities capabilities(Backend backend) noexcept;

[[nodiscard]] std::string_view to_string(Backend backend) noexcept;

struct Options {
  /// What ps and top show after "apalis: "; by default the object's type.
  std::string name = {};

  /// Pins the worker to this core; the constructor throws SystemError if it may not run there.
  std::optional<int> cpu = std::nullopt;

  Backend backend = Backend::processes;

  /// How long a handler's destructor waits for accepted calls before it kills the worker.
  std::chrono::milliseconds close_timeout = std::chrono::seconds{30};

  /// Called in the parent, on the thread that learns of it, with no lock held: the first failure
  /// of one-way calls since the last drain(), and whatever a destructor can't throw. Without a
  /// hook, a destructor prints what would be lost to stderr. Must not throw.
  std::function<void(std::exception_ptr)> on_error = {};
};

}  // namespace apalis
