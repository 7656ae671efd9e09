// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory that several processes share, as one of them knows it: counted, named in messages, and
// found by its name.
//
//   BlockPointer mine = make_block(800);                             // zeroed
//   const BlockName name = name_block(*mine, mine->bytes(), message);   // keeps it meanwhile
//   const BlockPointer theirs = find_block(name);                    // in the worker

#include <apalis/detail/channel/block_space.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/hold.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace apalis::detail::channel {

class BlockLedger;
class BlockTable;
struct ControlPage;

/// What crosses. The parts of a block are named like the whole. Small, so that a call with one and
/// a number or two fits a pair of units.
struct BlockName {
  std::uint32_t table = 0;  // table_mark() of the process that has it under `index`; 0: no block
  std::uint32_t generation = 0;
  std::uint64_t place = 0;  // bits 0-47 address, the same in all descendants of who made it | 48-63
                            // index
  std::uint64_t bytes = 0;

  static constexpr int address_bits = 48;  // of user space, unless asked for more
  [[nodiscard]] constexpr std::uint64_t address() const noexcept {
    return place & ((std::uint64_t{1} << address_bits) - 1);
  }
  [[nodiscard]] constexpr std::uint32_t index() const noexcept {
    return static_cast<std::uint32_t>(place >> address_bits);
  }
};
static_assert(sizeof(BlockName) == 24);

/// Tells a process from its parent, as their process ids do; never 0.
constexpr std::uint32_t table_mark(std::uint64_t stamp) noexcept {
  const auto mark = static_cast<std::uint32_t>(stamp ^ stamp >> 32 << 22);
  return mark != 0 ? mark : 1;
}

/// What refers to a block, by which errors call it.
enum class BlockUse : std::uint8_t { array, value, barrier };

/// One entry of a process's table. Entries are never freed, only used again for others.
///
/// **Owns** the memory, if this process made it; a child's entry stands for its reference to its
/// parent's.
/// **Threads:** any.
/// **Fork:** in a child, the copy of its parent's entry counts nothing: see BlockPointer.
class Block final : public wire::Hold {
 public:
  Block(std::uint64_t stamp, std::uint32_t index) noexcept : stamp_(stamp), index_(index) {}

  void retain() noexcept override;
  void release() noexcept override;

  [[nodiscard]] bool is_here() const noexcept { return stamp_ == sys::process_stamp(); }
  /// Whether this process made it.
  [[nodiscard]] bool is_own() const noexcept { return kind_ == Kind::own; }
  /// Another one each time that this entry is used.
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  /// Of a block of this process's own: what is to live as long as anybody has the block. To be set
  /// before the block is passed to anybody.
  void set_companion(std::shared_ptr<const void> companion) noexcept {
    companion_ = std::move(companion);
  }
  [[nodiscard]] const std::shared_ptr<const void>& companion() const noexcept {
    return companion_;
  }
  void mark(BlockUse use) noexcept { use_.store(use, std::memory_order_relaxed); }
  [[nodiscard]] BlockUse use() const noexcept { return use_.load(std::memory_order_relaxed); }
  /// A Meeting is at its start: processes that have it and end are its affair.
  [[nodiscard]] bool is_meeting() const noexcept { return use() == BlockUse::barrier; }
  /// Whether nobody else in this process refers to it, which may change.
  [[nodiscard]] bool is_last_reference() const noexcept {
    return count_->load(std::memory_order_relaxed) == last_.load(std::memory_order_relaxed);
  }
  /// All of it that this process was told of.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  friend class BlockTable;
  friend class BlockLedger;
  friend void finish_reply(wire::Buffer& reply, std::uint32_t position);

  enum class Kind : std::uint8_t {
    none,
    own,        // made by this process
    received,   // of its parent, or inherited from it by the fork and counted since
    inherited,  // of an older ancestor: this process's parent has it as long as it lives
  };

  std::uint64_t stamp_;  // of the process in whose table this is
  std::uint32_t index_;  // in it
  std::uint32_t generation_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::atomic<std::uint32_t> own_count_{0};
  std::atomic<std::uint32_t>* count_ = &own_count_;  // of a parent's: in the slice, for it to see
  // The count before a release() that somebody has to look at.
  std::atomic<std::uint32_t> last_{1};
  ControlPage* control_ = nullptr;  // of the worker that received it
  bool fenced_ = false;  // its parent can't make up for fences that are left out here
  std::atomic<Kind> kind_{Kind::none};
  std::atomic<BlockUse> use_{BlockUse::array};
  bool waits_ = false;        // nobody here refers to it, but workers do
  std::uint64_t serial_ = 0;  // in the order of their making
  std::shared_ptr<const void> companion_;
  Content content_ = Content::zero;  // that it began with
  // Of what is not own:
  std::uint64_t origin_stamp_ = 0;
  std::uint32_t origin_index_ = 0;
  std::uint32_t origin_generation_ = 0;
  std::byte* shown_ = nullptr;  // from here on
  std::byte* shown_end_ = nullptr;
  Block* next_ = nullptr;  // of those that wait, of those that are free
};

/// A counted reference.
/// **Fork:** the child's copy of one is not counted; a copy of that copy is, if the block is still
/// there. Until it is copied, it is as good as the reference of the parent that it was made from.
/// **Throws** Error from copying, where a fork outlived what it refers to.
class BlockPointer {
 public:
  BlockPointer() noexcept = default;
  /// Takes over a reference.
  explicit BlockPointer(Block& counted) noexcept : block_(&counted) {}
  BlockPointer(const BlockPointer& other) : block_(other.block_) {
    if (block_ != nullptr) block_ = &refer(*block_);
  }
  BlockPointer(BlockPointer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {
    if (block_ != nullptr && !block_->is_here()) [[unlikely]]
      block_ = refer_if_there(*block_);
  }
  BlockPointer& operator=(BlockPointer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockPointer() {
    if (block_ != nullptr) block_->release();
  }

  [[nodiscard]] Block* get() const noexcept { return block_; }
  [[nodiscard]] Block& operator*() const noexcept { return *block_; }
  [[nodiscard]] Block* operator->() const noexcept { return block_; }

 private:
  static Block& refer(Block& seen) {
    if (!seen.is_here()) [[unlikely]]
      return adopt(seen);
    seen.retain();
    return seen;
  }
  static Block& adopt(const Block& of_ancestor);
  static Block* refer_if_there(Block& of_ancestor) noexcept;

  Block* block_ = nullptr;
};

/// Zeroed unless `any` content will do, backed, aligned to a page; `bytes` > 0. Throws SystemError, and Error where there are too
/// many of them.
[[nodiscard]] BlockPointer make_block(std::size_t bytes, Content content = Content::zero);

/// The name of a part of a block in `message`, which holds the block from now on. Throws Error for
/// one that whoever the message is for can't have.
[[nodiscard]] BlockName name_block(const BlockPointer& block, std::span<const std::byte> part,
                                   wire::Buffer& message);

/// The block that a message names; what it names is part of it. Null for no block. Throws
/// wire::Malformed for what is no name, SystemError.
/// **Peer:** a worker may have written it.
[[nodiscard]] BlockPointer find_block(const BlockName& name);

/// Throws Error if a block that a fork left to this process is gone.
void require_block(const BlockPointer& block);

/// A Meeting was among what the workers of `maker` are made from: each that dies before it can say
/// so itself is that Meeting's affair.
void note_meeting(const BlockPointer& block, const void* maker) noexcept;

/// How many blocks wait for workers to let go of them.
extern std::atomic<std::uint32_t> waiting_blocks;

/// For as long as this thread destroys what `maker` had, after the workers were forked who go on
/// using copies of it: what it refers to, they keep.
class CarriedEnd {
 public:
  explicit CarriedEnd(const void* maker) noexcept;
  CarriedEnd(const CarriedEnd&) = delete;
  CarriedEnd& operator=(const CarriedEnd&) = delete;
  ~CarriedEnd();

 private:
  bool watched_;
};

}  // namespace apalis::detail::channel
