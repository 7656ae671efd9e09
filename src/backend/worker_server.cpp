// SPDX-License-Identifier: BSL-1.0
#include <apalis/backend/processes.hpp>
#include <apalis/backend/registry.hpp>
#include <apalis/backend/worker_server.hpp>
#include <apalis/detail/actor/nursery.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/error.hpp>
#include <utility>

namespace apalis::detail::backend {
namespace {

struct Current {
  std::mutex mutex;
  std::shared_ptr<WorkerServer> server;
};

// A fork has a fresh one: the server's workers would not be its children.
constinit sys::PerProcess<Current> current_server;

}  // namespace

std::shared_ptr<WorkerServer> WorkerServer::current() {
  Current& here = current_server.get();
  const std::lock_guard lock{here.mutex};
  return here.server;
}

void WorkerServer::start() {
  const auto held = sys::lock_forks();
  Current& here = current_server.get();
  const std::lock_guard lock{here.mutex};
  if (here.server != nullptr) return;
  if (sys::has_threads())
    throw Error(
        "apalis: ForkServer::start() comes too late: this process has threads already. Call it at "
        "the top of main");
  here.server = std::make_shared<WorkerServer>(held);
}

void WorkerServer::stop() noexcept {
  Current& here = current_server.get();
  std::shared_ptr<WorkerServer> last;
  {
    const std::lock_guard lock{here.mutex};
    last = std::exchange(here.server, nullptr);
  }
  if (last != nullptr) last->end();
}

void WorkerServer::end() noexcept {
  const auto nobody_orders = turn();
  open_ = false;
  link_->shut(false, actor::deadline_after(link_->options().close_timeout));
}

WorkerServer::WorkerServer(const sys::ForkLock& held)
    : modules_(sys::loaded_modules(held)), backends_(count_backends()) {
  actor::NurseryMaker maker{channel::Region::of_this_process(held), nullptr, {}};
  link_ = ProcessLink::open({.name = "fork server"}, maker, ProcessLink::Origin::here);
}

WorkerServer::~WorkerServer() {
  if (!link_->is_here()) return;  // a fork drops its copies; the server is its parent's
  link_->shut(false, actor::deadline_after(link_->options().close_timeout));
  link_->release();
}

}  // namespace apalis::detail::backend
