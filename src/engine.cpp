// SPDX-License-Identifier: BSL-1.0
#include <apalis/engine.hpp>
#include <atomic>

namespace apalis {

Engine::Engine(Backend backend, EngineOptions options)
    : core_(std::make_shared<detail::engine::EngineCore>(backend, std::move(options))) {}

Engine::~Engine() = default;

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
