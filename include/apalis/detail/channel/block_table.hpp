// SPDX-License-Identifier: BSL-1.0
#pragma once

// All blocks that a process knows. For block.hpp and block_ledger.hpp, whose other half this is.

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace apalis::detail::channel {

/// A slice that this process, or a worker that it descends from, was born with.
struct Birth {
  Region* region;
  std::uint32_t slice;
  std::uint64_t stamp;           // of the worker
  const std::byte* visible_end;  // of the blocks that it has seen from the start
};

/// **Owns** the entries. One a process.
/// **Threads:** any; its lock is the last one taken, and held for no system call that takes long.
class BlockTable {
 public:
  [[nodiscard]] static BlockTable& here();
  /// Outermost first. A fork inherits those of its parent.
  [[nodiscard]] static std::vector<Birth>& births();
  /// That of this very process; null in one that is no worker.
  [[nodiscard]] static const Birth* own_birth();

  [[nodiscard]] bool has_blocks() noexcept;
  [[nodiscard]] Block& make(std::size_t bytes, Content content);
  [[nodiscard]] Block& adopt(const Block& of_ancestor);
  void require(const Block& of_ancestor);
  [[nodiscard]] Block& find(const BlockName& name);
  [[nodiscard]] static BlockName name(const Block& block,
                                      std::span<const std::byte> part) noexcept;
  [[nodiscard]] BlockName name_for_parent(const Block& block, std::span<const std::byte> part);

  /// After the release that its entry wants to be told of.
  void let_go(Block& block) noexcept;
  /// Frees what no worker has any more.
  void sweep() noexcept;
  /// A reference goes in the CarriedEnd of `maker`.
  void note_carried(const Block& block, const void* maker) noexcept;
  void end_carried(const void* maker) noexcept;
  void note_meeting(const Block& block, const void* maker) noexcept;

 private:
  friend class BlockLedger;
  using Lock = std::unique_lock<std::mutex>;

  /// What became of a block that nobody here refers to any more.
  enum class Settled {
    waits,  // workers may have it
    left,   // it is the parent's affair again
    freed,  // its memory is to be given back
  };

  // All with the lock held.
  [[nodiscard]] Block& new_entry();
  void begin_entry(Block& block) noexcept;
  void back_generations(std::uint32_t block);
  [[nodiscard]] Block& receive(const Birth& birth, std::uint32_t index, std::uint32_t generation);
  void show(const Birth& birth, Block& block, std::byte* from, std::byte* to);
  [[nodiscard]] Block& inherited_entry(const Block& of_ancestor);
  void hide(const Birth& birth, Block& block) noexcept;
  void hide_idle(const Birth& birth) noexcept;
  [[nodiscard]] bool workers_may_have(const Block& block) noexcept;
  Settled settle(Block& block) noexcept;
  void wait_for(Block& block) noexcept;
  static void tell_let_go(const Block& block) noexcept;
  void add_export(Block& block);
  void give_back(Lock& lock, Block* doomed) noexcept;

  std::mutex mutex_;
  Region* region_ = nullptr;  // of this process, once it has blocks or workers
  std::uint32_t generations_ = 0;  // entries whose word there has a page
  std::deque<Block> entries_;
  Block* free_ = nullptr;
  Block* waiting_ = nullptr;
  std::vector<Block*> received_;   // by the parent's index
  std::vector<Block*> inherited_;  // from older ancestors
  std::vector<BlockLedger*> ledgers_;
  std::uint64_t serial_ = 1;
  std::size_t alive_ = 0;  // entries that are not free
  std::size_t shown_ = 0;  // received blocks that were hidden first
};

}  // namespace apalis::detail::channel
