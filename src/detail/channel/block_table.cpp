// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/block_table.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <string>

namespace apalis::detail::channel {
namespace {

constinit sys::PerProcess<BlockTable> tables;

constexpr std::size_t most_shown = 64;  // blocks that a worker goes on seeing though it has none

std::string noun(const Block& block) {
  switch (block.use()) {
    case BlockUse::array:
      return "SharedArray";
    case BlockUse::value:
      return "Ref";
    case BlockUse::barrier:
      break;
  }
  return "Barrier";
}

[[noreturn]] void throw_gone(const Block& block) {
  throw Error("apalis: this " + noun(block) +
              " is gone: a fork left a reference to it to this process, and the process that made "
              "it has let go of it meanwhile; pass it to the worker as an argument");
}
[[noreturn]] void throw_of_no_worker(const Block& block) {
  throw Error("apalis: this " + noun(block) +
              " belongs to the process that made it and to the workers that it is passed to; this "
              "process is another fork");
}
[[noreturn]] void throw_not_for_parent(const Block& block) {
  throw Error("apalis: a " + noun(block) +
              " that was made in a worker can't be sent up to its parent: " +
              (block.use() == BlockUse::value ? "return the value itself"
                                              : "make it there and pass it to the worker"));
}

[[noreturn]] void throw_unknown() {
  throw wire::Malformed("malformed message: it names a shared block that there is not");
}

template <class Address>
auto* pointer(std::uint64_t address) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): whoever made the block has it mapped there
  return reinterpret_cast<Address*>(static_cast<std::uintptr_t>(address));
}

/// Whether somebody in this process has it.
bool is_referred_to(const std::atomic<std::uint32_t>& count, std::uint32_t last) noexcept {
  return count.load() >= last;
}

std::byte* page_of(std::byte* at) noexcept {
  const auto into = reinterpret_cast<std::uintptr_t>(at) % sys::page_size;
  return at - into;
}

}  // namespace

BlockTable& BlockTable::here() {
  return tables.get();
}

std::vector<Birth>& BlockTable::births() {
  static auto* const all = new std::vector<Birth>;  // never destroyed: static objects use it
  return *all;
}

const Birth* BlockTable::own_birth() {
  const auto& all = births();
  return !all.empty() && all.back().stamp == sys::process_stamp() ? &all.back() : nullptr;
}

// --- Entries -------------------------------------------------------------------------------------

Block& BlockTable::new_entry() {
  Block* block = free_;
  if (block != nullptr) {
    free_ = block->next_;
  } else {
    if (entries_.size() == most_blocks)
      throw Error("apalis: this process knows " + std::to_string(most_blocks) +
                  " SharedArrays, Refs and Barriers, and there can't be more at once: make fewer, "
                  "larger ones, and parts of arrays by subarray()");
    block =
        &entries_.emplace_back(sys::process_stamp(), static_cast<std::uint32_t>(entries_.size()));
  }
  block->next_ = nullptr;
  begin_entry(*block);
  ++alive_;
  return *block;
}

void BlockTable::begin_entry(Block& block) noexcept {
  if (++block.generation_ == 0) block.generation_ = 1;
  block.serial_ = serial_++;
  block.last_ = 1;
  block.mark(BlockUse::array);
  block.shown_ = block.shown_end_ = nullptr;
}

Block& BlockTable::make(std::size_t bytes, Content content) {
  if (waiting_blocks.load(std::memory_order_relaxed) != 0) sweep();
  Region& region = Region::of_this_process(sys::lock_forks());
  const auto memory = region.acquire_block(bytes, content);
  try {
    const Lock lock{mutex_};
    region_ = &region;
    back_generations(
        static_cast<std::uint32_t>(free_ != nullptr ? free_->index_ : entries_.size()));
    Block& block = new_entry();
    block.kind_ = Block::Kind::own;
    block.data_ = memory.data();
    block.size_ = memory.size();
    block.content_ = content;
    block.count_ = &block.own_count_;
    block.own_count_ = 1;
    region.generation(block.index_) = block.generation_;
    return block;
  } catch (...) {
    region.release_block(memory);
    throw;
  }
}

void BlockTable::back_generations(std::uint32_t block) {
  for (; generations_ <= block && block < most_blocks;
       generations_ += sys::page_size / sizeof(GenerationWord))
    region_->back_generation(generations_);
}

Block& BlockTable::find(const BlockName& name) {
  const auto index = name.index();
  if (index >= most_blocks) throw_unknown();
  const Lock lock{mutex_};
  if (name.table == table_mark(sys::process_stamp())) {
    if (index >= entries_.size()) throw_unknown();
    Block& block = entries_[index];
    const auto offset = name.address() - reinterpret_cast<std::uintptr_t>(block.data_);
    if (block.kind_ == Block::Kind::none || block.generation_ != name.generation ||
        !is_referred_to(*block.count_, block.last_) || offset > block.size_ ||
        name.bytes > block.size_ - offset)
      throw_unknown();
    block.count_->fetch_add(1);
    return block;
  }
  const Birth* const birth = own_birth();
  if (birth == nullptr || name.table != table_mark(birth->region->stamp())) throw_unknown();
  Block& block = receive(*birth, index, name.generation);
  auto* const from = pointer<std::byte>(name.address());
  show(*birth, block, from, from + name.bytes);
  block.retain();
  return block;
}

namespace {

BlockName make_name(std::uint64_t stamp, std::uint32_t index, std::uint32_t generation,
                    std::span<const std::byte> part) noexcept {
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(part.data()));
  return {table_mark(stamp), generation,
          address | static_cast<std::uint64_t>(index) << BlockName::address_bits, part.size()};
}

}  // namespace

BlockName BlockTable::name(const Block& block, std::span<const std::byte> part) noexcept {
  return make_name(block.stamp_, block.index_, block.generation_, part);
}

BlockName BlockTable::name_for_parent(const Block& block, std::span<const std::byte> part) {
  const Birth* const birth = own_birth();
  if (block.kind_ != Block::Kind::received || birth == nullptr) throw_not_for_parent(block);
  return make_name(block.origin_stamp_, block.origin_index_, block.origin_generation_, part);
}

// --- What comes from the parent ------------------------------------------------------------------

/// The entry of a block of the parent's. The parent's numbers are used again, one after the other.
Block& BlockTable::receive(const Birth& birth, std::uint32_t index, std::uint32_t generation) {
  if (received_.size() <= index) received_.resize(index + std::size_t{1});
  Block*& block = received_[index];
  if (block == nullptr) {
    block = &new_entry();
    block->origin_stamp_ = birth.region->stamp();
    block->origin_index_ = index;
    block->count_ = &birth.region->held(birth.slice, index).count;
    block->kind_ = Block::Kind::received;
    block->control_ = SliceView::at(birth.region->base(birth.slice)).control;
    block->fenced_ = !birth.region->heavy_barriers();
  } else if (block->origin_generation_ != generation) {
    if (is_referred_to(*block->count_, block->last_)) throw_unknown();
    hide(birth, *block);
    begin_entry(*block);
  } else {
    return *block;
  }
  block->origin_generation_ = generation;
  block->data_ = nullptr;
  block->size_ = 0;
  return *block;
}

/// What was there at the birth can be seen from the start, and this does no harm there.
void BlockTable::show(const Birth& birth, Block& block, std::byte* from, std::byte* to) {
  if (block.data_ == nullptr) {
    block.data_ = from;
    block.size_ = static_cast<std::size_t>(to - from);
  } else if (from < block.data_ || to > block.data_ + block.size_) {
    std::byte* const end = std::max(to, block.data_ + block.size_);
    block.data_ = std::min(from, block.data_);
    block.size_ = static_cast<std::size_t>(end - block.data_);
  }
  if (from >= block.shown_ && to <= block.shown_end_) return;
  from = page_of(block.data_);
  to = page_of(block.data_ + block.size_ + sys::page_size - 1);
  if (to > birth.visible_end) {
    if (block.shown_ == nullptr && ++shown_ > most_shown) hide_idle(birth);
    if (!sys::show(from, static_cast<std::size_t>(to - from)))
      throw SystemError(
          "apalis: this worker can't have another SharedArray or Ref: its mappings are too many "
          "(see "
          "vm.max_map_count)",
          ENOMEM);
  }
  block.shown_ = from;
  block.shown_end_ = to;
}

void BlockTable::hide(const Birth& birth, Block& block) noexcept {
  if (block.shown_end_ > birth.visible_end) {
    std::byte* const from = std::max(block.shown_, const_cast<std::byte*>(birth.visible_end));
    sys::hide(from, static_cast<std::size_t>(block.shown_end_ - from));
    --shown_;
  }
  block.shown_ = block.shown_end_ = nullptr;
}

void BlockTable::hide_idle(const Birth& birth) noexcept {
  for (Block* block : received_)
    if (block != nullptr && !is_referred_to(*block->count_, block->last_)) hide(birth, *block);
}

Block& BlockTable::adopt(const Block& of_ancestor) {
  const auto& all = births();
  const auto birth = std::find_if(all.rbegin(), all.rend(), [&](const Birth& each) {
    return each.region->stamp() == of_ancestor.stamp_;
  });
  if (birth == all.rend()) throw_of_no_worker(of_ancestor);
  const Lock lock{mutex_};
  const auto index = of_ancestor.index_;
  Block* block = nullptr;
  if (birth->stamp == sys::process_stamp()) {
    block = &receive(*birth, index, of_ancestor.generation_);
    show(*birth, *block, of_ancestor.data_, of_ancestor.data_ + of_ancestor.size_);
  } else {
    // The worker that this one descends from has it until it ends, and this one ends with it.
    birth->region->inherited(birth->slice, index) = 1;
    block = &inherited_entry(of_ancestor);
  }
  block->mark(of_ancestor.use());
  block->count_->fetch_add(1);
  // Partner: settle(), which empties the word first and then looks at the counts.
  if (birth->region->generation(index).load() == of_ancestor.generation_) return *block;
  block->count_->fetch_sub(1);
  throw_gone(of_ancestor);
}

Block& BlockTable::inherited_entry(const Block& of_ancestor) {
  const auto known = std::ranges::find_if(inherited_, [&](const Block* block) {
    return block->origin_stamp_ == of_ancestor.stamp_ &&
           block->origin_index_ == of_ancestor.index_ &&
           block->origin_generation_ == of_ancestor.generation_;
  });
  if (known != inherited_.end()) return **known;
  inherited_.reserve(inherited_.size() + 1);
  Block& block = new_entry();
  block.kind_ = Block::Kind::inherited;
  block.origin_stamp_ = of_ancestor.stamp_;
  block.origin_index_ = of_ancestor.index_;
  block.origin_generation_ = of_ancestor.generation_;
  block.data_ = of_ancestor.data_;
  block.size_ = of_ancestor.size_;
  inherited_.push_back(&block);
  return block;
}

void BlockTable::require(const Block& of_ancestor) {
  for (const Birth& birth : births())
    if (birth.region->stamp() == of_ancestor.stamp_) {
      if (birth.region->generation(of_ancestor.index_).load() == of_ancestor.generation_) return;
      throw_gone(of_ancestor);
    }
  throw_of_no_worker(of_ancestor);
}

// --- The end of a block --------------------------------------------------------------------------

void BlockTable::let_go(Block& block) noexcept {
  if (block.kind_ != Block::Kind::own && block.last_.load() == 1) {
    tell_let_go(block);
    return;
  }
  Lock lock{mutex_};
  if (block.kind_ == Block::Kind::none || is_referred_to(*block.count_, block.last_)) return;
  if (block.waits_) {
    lock.unlock();
    return sweep();
  }
  if (settle(block) == Settled::freed) {
    block.next_ = nullptr;
    give_back(lock, &block);
  }
}

/// To the parent, if it waits for that.
void BlockTable::tell_let_go(const Block& block) noexcept {
  if (block.control_ != nullptr && block.control_->orders.tell_let_go.load() != 0)
    block.control_->calls.let_go.fetch_add(1);
}

BlockTable::Settled BlockTable::settle(Block& block) noexcept {
  if (workers_may_have(block)) {
    wait_for(block);
    return Settled::waits;
  }
  // A worker may be about to count a reference that its fork left to it. Partner: adopt().
  region_->generation(block.index_).store(0);
  if (workers_may_have(block)) {
    region_->generation(block.index_).store(block.generation_);
    wait_for(block);
    return Settled::waits;
  }
  for (BlockLedger* ledger : ledgers_) ledger->clear(block.index_);
  if (block.kind_ == Block::Kind::own) {
    block.kind_ = Block::Kind::none;
    return Settled::freed;
  }
  block.last_.store(1);
  if (block.count_->fetch_sub(1) == 1) tell_let_go(block);
  return Settled::left;
}

bool BlockTable::workers_may_have(const Block& block) noexcept {
  return std::ranges::any_of(ledgers_,
                             [&](BlockLedger* ledger) { return ledger->may_have(block); });
}

void BlockTable::wait_for(Block& block) noexcept {
  if (block.waits_) return;
  block.waits_ = true;
  block.next_ = std::exchange(waiting_, &block);
  waiting_blocks.fetch_add(1, std::memory_order_relaxed);
}

void BlockTable::sweep() noexcept {
  Lock lock{mutex_};
  for (BlockLedger* ledger : ledgers_) ledger->stop_waiting();
  Block* doomed = nullptr;
  for (Block** at = &waiting_; *at != nullptr;) {
    Block& block = **at;
    const auto settled = is_referred_to(*block.count_, block.last_) ? Settled::left : settle(block);
    if (settled == Settled::waits) {
      at = &block.next_;
      continue;
    }
    *at = block.next_;
    block.waits_ = false;
    waiting_blocks.fetch_sub(1, std::memory_order_relaxed);
    if (settled == Settled::freed) block.next_ = std::exchange(doomed, &block);
  }
  give_back(lock, doomed);
}

/// Without the lock, as the system takes its time for that.
void BlockTable::give_back(Lock& lock, Block* doomed) noexcept {
  while (doomed != nullptr) {
    Block& block = *std::exchange(doomed, doomed->next_);
    lock.unlock();
    block.companion_.reset();
    region_->release_block({block.data_, block.size_}, block.content_);
    lock.lock();
    block.next_ = std::exchange(free_, &block);
    --alive_;
  }
}

// --- Workers -------------------------------------------------------------------------------------

/// What is not this process's own, its workers are to have: until they let go of it, it counts as
/// referred to.
void BlockTable::add_export(Block& block) {
  if (block.kind_ == Block::Kind::own || block.last_.load() == 2) return;
  back_generations(block.index_);
  region_->generation(block.index_) = block.generation_;
  block.count_->fetch_add(1);
  block.last_.store(2);
  // Who released the last reference meanwhile may not have known. Partner: Block::release().
  if (!is_referred_to(*block.count_, 2) && !block.waits_) settle(block);
}

void BlockTable::note_carried(const Block& block, const void* maker) noexcept {
  const Lock lock{mutex_};
  for (BlockLedger* ledger : ledgers_)
    if (ledger->inheritance_.maker == maker) ledger->keep(block);
}

void BlockTable::end_carried(const void* maker) noexcept {
  const Lock lock{mutex_};
  for (BlockLedger* ledger : ledgers_)
    if (ledger->inheritance_.maker == maker) ledger->inheritance_.maker = nullptr;
}

void BlockTable::note_meeting(const Block& block, const void* maker) noexcept {
  const Lock lock{mutex_};
  for (BlockLedger* ledger : ledgers_)
    if (ledger->inheritance_.maker == maker) ledger->invite(block);
}

bool BlockTable::has_blocks() noexcept {
  const Lock lock{mutex_};
  return alive_ > 0;
}

}  // namespace apalis::detail::channel
