// SPDX-License-Identifier: BSL-1.0
// The same child, while the parent reads: what is read twice may differ. Whatever a schedule brings
// up, it can't be replayed; hence a target of its own.
//
// Input: [8 bytes of seed] and steps as of reply_lane, the child's on a thread of their own.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>

#include "blocks.hpp"
#include "errors.hpp"
#include "input.hpp"
#include "parent.hpp"
#include "scripted_child.hpp"
#include "slice_memory.hpp"

using namespace apalis::fuzz;
namespace channel = apalis::detail::channel;

namespace {

/// Changes words that the parent has just come to, or is about to.
void scribble(SliceMemory& memory, std::uint64_t seed, const std::atomic<bool>& stop) {
  std::mt19937_64 random{seed};
  const auto view = memory.view();
  auto& slice = Blocks::here().slice();
  while (!stop.load(std::memory_order_relaxed)) {
    const auto position = static_cast<std::uint32_t>(random() % 16);
    auto& unit = view.replies.unit(position);
    switch (random() % 9) {
      case 0:
        unit.head.store(random(), std::memory_order_relaxed);
        break;
      case 1:
      case 2: {
        const auto bits = random();
        unit.head.store(
            channel::Head::make(position, static_cast<channel::Kind>(bits % 6),
                                static_cast<std::uint8_t>(bits >> 8 & 7), bits >> 16 & 63)
                .word,
            std::memory_order_relaxed);
        break;
      }
      case 3:
      case 4: {
        const channel::BlockRef block{static_cast<std::uint32_t>(random() % 64 * 64),
                                      static_cast<std::uint32_t>(random() % 8192),
                                      random() % 16384};
        std::memcpy(unit.data, &block, sizeof block);
        break;
      }
      case 5:
        view.requests.progress->word.store(random() & 0x0000'00ff'0000'000fU,
                                           std::memory_order_relaxed);
        break;
      case 6: {
        auto& held = slice.region().held(slice.index(), static_cast<std::uint32_t>(random() % 16));
        held.count.store(static_cast<std::uint32_t>(random() % 3), std::memory_order_relaxed);
        held.in_reply.store(static_cast<std::uint32_t>(random() % 16), std::memory_order_relaxed);
        break;
      }
      default: {
        const auto bits = random();
        std::memcpy(view.replies.arena + random() % 8192, &bits, sizeof bits);
      }
    }
  }
}

void play(Input& script, SliceMemory& memory) {
  const auto seed = script.number<std::uint64_t>();
  std::atomic<bool> stop{false};
  Parent parent{memory.view()};
  Child child{memory};
  std::thread scribbler{[&] { scribble(memory, seed, stop); }};
  constexpr auto acts = static_cast<unsigned>(Child::Act::count);
  // Bounded by the script: a parent that waited would wait as long as a child lets it.
  while (!script.at_end() && !parent.is_over()) {
    const auto next = script.number<std::uint8_t>();
    parent.call(next, {});
    if (next % 16 == 3) parent.lend(static_cast<std::uint8_t>(next * 8U));
    if (next % 16 == 7) parent.drop_lent(next);
    if (next % 4 == 0) parent.drain();
    child.act(static_cast<Child::Act>(next % acts), script);
    for (int i = 0; i < 8; ++i) parent.take();
    if (next % 8 == 0) parent.look();
  }
  stop = true;
  scribbler.join();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  register_exceptions();
  static SliceMemory memory;
  memory.clear();
  Input script{data, size};
  play(script, memory);
  Blocks::here().require_untouched();
  return 0;
}
