// SPDX-License-Identifier: BSL-1.0
#pragma once

// Workers of a clean process, for programs that have threads.
//
//   int main() {
//     apalis::ForkServer::start();                     // before the first thread
//     std::jthread ui(run_ui);
//     apalis::Handler<Solver> h{std::in_place, mesh};  // forked from the server, not from here
//   }

#include <sys/types.h>

namespace apalis {

/// A process that was forked while this one had one thread, and forks the workers of every handler
/// made from then on. A worker forked from a threaded process has one thread and all the locks that
/// the others held; from the server it has none.
///
/// What a worker needs must be sent there: a carried object, or the arguments of one that is made
/// in place, must be able to cross as a call's arguments do. A handler for which that is not so
/// forks this process, if it still has one thread; else its constructor throws Error.
/// Options::on_worker_start must be a plain function (a captureless lambda after a `+`), and a
/// backend of register_backend() must have been registered before start().
///
/// Workers have this process's globals, files, directory and environment as they were at start().
///
/// **Threads:** any; start() itself belongs before the first other one.
/// **Fork:** each process has its own, or none: a fork has none.
/// **Peer death:** once the server has died, handlers can't be made: WorkerDied.
class ForkServer {
 public:
  ForkServer() = delete;

  /// Forks the server; does nothing if there is one. It ends with this process, or by stop().
  /// Throws Error if this process has threads already, SystemError.
  static void start();

  /// Ends the server; workers that it made live on, but are not replaced any more.
  static void stop() noexcept;

  [[nodiscard]] static bool is_running() noexcept;
  /// 0 if there is none.
  [[nodiscard]] static pid_t pid() noexcept;
};

}  // namespace apalis
