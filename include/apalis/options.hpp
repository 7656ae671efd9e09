// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a handler's worker is made and ended.
//
//   apalis::Handler<Solver> h{{.name = "solver", .cpu = 1}, std::in_place, mesh};

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace apalis {

/// What runs the calls. Values beyond these are of backends that register_backend() made.
enum class Backend {
  processes,  ///< a process for each object
  threads,    ///< a thread for each: for code that shares this process's memory
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

/// How a worker ended.
struct WorkerExit {
  std::string name;         ///< the handler's
  pid_t pid = 0;
  bool known = false;       ///< false: the program reaped it first, or ignores SIGCHLD
  int status = 0;           ///< its exit status, if it was not killed
  int signal = 0;           ///< the signal that killed it, 0 if none
  bool expected = false;    ///< by close(), kill(), max_calls_per_worker or an engine's idle_timeout
  bool replaced = false;    ///< another worker takes its place
  std::exception_ptr error; ///< the WorkerDied that calls fail with; null if expected
};

/// Whether a worker that died is replaced. (Backends without processes have none that dies, and
/// ignore this and max_calls_per_worker.) The next one makes its object as the first one did: from
/// the constructor's arguments or the carried object, as they were when the handler was made. A
/// spare child is kept for that. Calls that had not begun go to it, in order.
struct Restart {
  unsigned max = 0;                       ///< how often in the handler's life; 0: never
  std::chrono::milliseconds backoff{10};  ///< before the second in a row, doubled for each
  std::chrono::milliseconds max_backoff = std::chrono::seconds{10};
};

/// What making a worker does in a process that has other threads already. Their locks may be held
/// for ever in the child: see ForkServer.
enum class ForkInThreads {
  warn,   ///< says so, once in the process, through the log hook
  allow,  ///< says nothing
  refuse  ///< throws Error
};

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

  Restart restart = {};

  /// A worker that has begun that many calls and posts is replaced by a new one, which makes its
  /// object anew; no call is lost, and it counts as no restart. For code that leaks. 0: never. A
  /// batch counts as one.
  std::uint64_t max_calls_per_worker = 0;

  /// How long each call may run, and the object's construction: then the worker is killed, the call
  /// fails with TimedOut, and Restart decides about the others. Zero: for ever. Looked at while
  /// some thread waits for the worker, to about 2 ms, and whenever the handler or a token is used.
  std::chrono::nanoseconds timeout{0};

  ForkInThreads fork_in_threads = ForkInThreads::warn;

  /// Called in each worker before its object is made. What it throws, every call fails with.
  std::function<void()> on_worker_start = {};

  /// Called in the parent, on the thread that learns of it, with no lock held, when a worker has
  /// ended. Must not throw.
  std::function<void(const WorkerExit&)> on_worker_exit = {};
};

/// How a group's workers are made and ended.
struct GroupOptions {
  /// How many there are; 0: cpu_count(). Never more than objects.
  std::size_t workers = 0;

  /// Ties each worker to a core of its own, in turn where there are more workers. Without it they
  /// start on cores of their own where they fit, and may move.
  bool pin = false;

  // As in Options, for each worker.
  std::string name = {};
  Backend backend = Backend::processes;
  std::chrono::milliseconds close_timeout = std::chrono::seconds{30};
  std::function<void(std::exception_ptr)> on_error = {};
  Restart restart = {};  ///< a worker's successor makes all of its objects anew
  std::uint64_t max_calls_per_worker = 0;
  std::chrono::nanoseconds timeout{0};
  ForkInThreads fork_in_threads = ForkInThreads::warn;
  std::function<void()> on_worker_start = {};
  std::function<void(const WorkerExit&)> on_worker_exit = {};
};

/// How one call is treated: h.call({.timeout = 100ms}, &Solver::step, dt).
struct CallOptions {
  /// How long it may run; see Options::timeout, which it replaces for this call. Zero: as that
  /// says.
  std::chrono::nanoseconds timeout{0};

  /// How often it may be run again when its worker died while it ran, if Options::restart gives it
  /// another worker: for calls that may be run twice. A call that ran too long is not run again.
  std::uint16_t retries = 0;
};

}  // namespace apalis
