// SPDX-License-Identifier: BSL-1.0
#include <apalis/backend/processes.hpp>
#include <apalis/backend/worker_server.hpp>
#include <apalis/fork_server.hpp>

namespace apalis {

using detail::backend::WorkerServer;

void ForkServer::start() { WorkerServer::start(); }

void ForkServer::stop() noexcept { WorkerServer::stop(); }

bool ForkServer::is_running() noexcept { return WorkerServer::current() != nullptr; }

pid_t ForkServer::pid() noexcept {
  const auto server = WorkerServer::current();
  return server != nullptr ? server->link().pid() : 0;
}

}  // namespace apalis
