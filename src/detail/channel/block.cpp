// SPDX-License-Identifier: BSL-1.0
#if __has_include(<sys/single_threaded.h>)
#  include <sys/single_threaded.h>  // glibc 2.32
#endif

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/block_table.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis::detail::channel {
namespace {

constinit std::atomic<int> carried_ends{0};
constinit thread_local const void* ending_maker = nullptr;

/// Returns what it was. A process of one thread needs no locked instruction, which each call would
/// meet twice.
std::uint32_t add(std::atomic<std::uint32_t>& count, std::uint32_t by,
                  [[maybe_unused]] bool fenced) noexcept {
#if __has_include(<sys/single_threaded.h>)
  if (__libc_single_threaded != 0 && !fenced) {
    const auto before = count.load(std::memory_order_relaxed);
    count.store(before + by, std::memory_order_release);
    return before;
  }
#endif
  return count.fetch_add(by);
}

}  // namespace

constinit std::atomic<std::uint32_t> waiting_blocks{0};

// --- Block ---------------------------------------------------------------------------------------

void Block::retain() noexcept {
  if (is_here()) add(*count_, 1, false);
}

void Block::release() noexcept {
  if (!is_here()) return;
  if (carried_ends.load(std::memory_order_relaxed) != 0) [[unlikely]]
    if (ending_maker != nullptr) BlockTable::here().note_carried(*this, ending_maker);
  // Partners: BlockTable::add_export() in another thread and the parent's asking to be told, which
  // write first and then look at the count.
  if (add(*count_, ~std::uint32_t{0}, fenced_) == last_.load()) {
    auto* const control = control_;
    if (control == nullptr || last_.load() != 1) [[unlikely]]
      BlockTable::here().let_go(*this);
    else if (control->orders.tell_let_go.load() != 0) [[unlikely]]
      control->calls.let_go.fetch_add(1);
  }
}

// --- BlockPointer --------------------------------------------------------------------------------

Block& BlockPointer::adopt(const Block& of_ancestor) {
  return BlockTable::here().adopt(of_ancestor);
}

/// Where it is gone, whoever has it is told so at its next checked use.
Block* BlockPointer::refer_if_there(Block& of_ancestor) noexcept {
  try {
    return &adopt(of_ancestor);
  } catch (...) {
    return &of_ancestor;
  }
}

BlockPointer make_block(std::size_t bytes, Content content) {
  return BlockPointer{BlockTable::here().make(bytes, content)};
}

BlockName name_block(const BlockPointer& block, std::span<const std::byte> part,
                     wire::Buffer& message) {
  if (block.get() == nullptr) return {};
  if (!block->is_here()) return name_block(BlockPointer{block}, part, message);
  const auto name = message.is_for_parent() ? BlockTable::here().name_for_parent(*block, part)
                                            : BlockTable::name(*block, part);
  message.holds().add(*block);
  return name;
}

BlockPointer find_block(const BlockName& name) {
  if (name.table == 0) return {};
  return BlockPointer{BlockTable::here().find(name)};
}

void require_block(const BlockPointer& block) {
  if (block.get() != nullptr && !block->is_here()) [[unlikely]]
    BlockTable::here().require(*block);
}

void note_meeting(const BlockPointer& block, const void* maker) noexcept {
  if (block.get() != nullptr && block->is_here()) BlockTable::here().note_meeting(*block, maker);
}

// --- CarriedEnd ----------------------------------------------------------------------------------

CarriedEnd::CarriedEnd(const void* maker) noexcept : watched_(BlockTable::here().has_blocks()) {
  if (!watched_) return;
  ending_maker = maker;
  carried_ends.fetch_add(1, std::memory_order_relaxed);
}

CarriedEnd::~CarriedEnd() {
  if (!watched_) return;
  carried_ends.fetch_sub(1, std::memory_order_relaxed);
  BlockTable::here().end_carried(std::exchange(ending_maker, nullptr));
}

}  // namespace apalis::detail::channel
