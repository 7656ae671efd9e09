// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/engine_core.hpp>
#include <apalis/engine.hpp>
#include <atomic>

namespace apalis {

Engine::Engine(Backend backend, EngineOptions options)
    : core_(std::make_shared<detail::engine::EngineCore>(backend, std::move(options))) {}

Engine::~Engine() = default;

detail::engine::EngineCore& Engine::core() const {
  if (core_ == nullptr) detail::engine::throw_moved_from();
  return *core_;
}

void Engine::add_start(std::function<void()> hook) { core().add_start(std::move(hook)); }
void Engine::add_stop(std::function<void()> hook) { core().add_stop(std::move(hook)); }

Backend Engine::backend() const { return core().backend(); }
std::size_t Engine::max_workers() const { return core().workers(); }
std::vector<pid_t> Engine::pids() const { return core().pool().pids(); }
MapReport Engine::report() const { return core().report(); }
void Engine::end_idle_workers() { core().end_idle(); }
void Engine::close() { core().close(); }

namespace detail::engine {

namespace {
constinit std::atomic<std::uint64_t> last_state{0};
}

StateName::StateName(std::weak_ptr<EngineCore> core)
    : core_(std::move(core)), id_(last_state.fetch_add(1) + 1) {}

StateName::~StateName() {
  if (const auto core = core_.lock()) core->drop_state(id_);
}

}  // namespace detail::engine

}  // namespace apalis
