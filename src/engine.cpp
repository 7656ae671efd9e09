// SPDX-License-Identifier: BSL-1.0
#include <apalis/engine.hpp>
#include <atomic>

namespace apalis {

Engine::Engine(Backend backend, EngineOptions options)
    : core_(std::make_shared<detail::engine::EngineCore>(backend, std::move(options))) {}

Engine::~Engine() = default;

namespace detail::engine {

std::uint64_t new_state_id() noexcept {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

}  // namespace detail::engine

}  // namespace apalis
