// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/block_table.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/meeting.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <cstring>

namespace apalis::detail::channel {
namespace {

constexpr std::uint64_t known = std::uint64_t{1} << 32;  // beside a position, which may be 0

constexpr std::uint32_t position_of(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word);
}

/// How a worker's reply names a block of its parent's.
struct ReplyName {
  std::uint32_t index;
  std::uint32_t generation;
};

}  // namespace

BlockLedger::BlockLedger(Region& region, std::uint32_t slice, const Inheritance& inheritance)
    : region_(region),
      slice_(slice),
      inheritance_(inheritance),
      control_(*SliceView::at(region.base(slice)).control) {
  BlockTable& table = BlockTable::here();
  const BlockTable::Lock lock{table.mutex_};
  table.region_ = &region;
  table.ledgers_.push_back(this);
}

void BlockLedger::begin() {
  BlockTable& table = BlockTable::here();
  const BlockTable::Lock lock{table.mutex_};
  if (table.alive_ > 0) {
    back(static_cast<std::uint32_t>(table.entries_.size()));
    for (Block& block : table.entries_) {
      const bool counted = block.count_->load() > 0;
      if (counted &&
          (block.kind_ == Block::Kind::received || block.kind_ == Block::Kind::inherited))
        table.add_export(block);
    }
  }
  born_ = table.serial_;
}

void BlockLedger::welcome(pid_t pid) noexcept {
  worker_.store(0, std::memory_order_relaxed);
  pid_.store(pid, std::memory_order_relaxed);
}

void BlockLedger::end(bool in_peace) noexcept {
  BlockTable& table = BlockTable::here();
  {
    const BlockTable::Lock lock{table.mutex_};
    leave_meetings(in_peace);
    stop_waiting();
    born_ = 0;
    replied_.store(0, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < grants_size_; ++i) grants_[i].store(0, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < backed_; ++i) {
      region_.held(slice_, i).count.store(0, std::memory_order_relaxed);
      region_.held(slice_, i).in_reply.store(0, std::memory_order_relaxed);
      region_.inherited(slice_, i).store(0, std::memory_order_relaxed);
    }
  }
  if (waiting_blocks.load(std::memory_order_relaxed) != 0) table.sweep();
}

void BlockLedger::close() noexcept {
  if (!std::exchange(open_, false)) return;
  BlockTable& table = BlockTable::here();
  {
    const BlockTable::Lock lock{table.mutex_};
    std::erase(table.ledgers_, this);
  }
  end();
}

// --- What it is given ----------------------------------------------------------------------------

void BlockLedger::prepare(const wire::Holds& holds) {
  holds.for_each([this](wire::Hold& hold) {
    auto& block = static_cast<Block&>(hold);
    if (block.is_meeting()) [[unlikely]]
      invite(block);
    if (block.index_ < std::min(backed_, grants_size_) && block.kind_ == Block::Kind::own)
        [[likely]]
      return;
    BlockTable& table = BlockTable::here();
    const BlockTable::Lock lock{table.mutex_};
    table.add_export(block);
    back(block.index_ + 1);
    if (block.index_ < grants_size_) return;
    const auto size = std::max({std::uint32_t{16}, 2 * grants_size_, block.index_ + 1});
    auto grown = std::make_unique<std::atomic<std::uint64_t>[]>(size);
    for (std::uint32_t i = 0; i < grants_size_; ++i) grown[i] = grants_[i].load();
    grants_ = std::move(grown);
    grants_size_ = size;
  });
}

void BlockLedger::grant(const wire::Holds& holds, std::uint32_t position) noexcept {
  holds.for_each([&](const wire::Hold& hold) {
    // Relaxed: whoever looks at it has seen the message's reference go.
    grants_[static_cast<const Block&>(hold).index_].store(known | position,
                                                          std::memory_order_relaxed);
  });
}

/// So that neither side meets a word without memory.
void BlockLedger::back(std::uint32_t blocks) {
  if (blocks <= backed_) return;
  constexpr auto step = static_cast<std::uint32_t>(sys::page_size / sizeof(HeldWord));
  const auto until = std::min(most_blocks, (blocks + step - 1) / step * step);
  region_.back_held(slice_, backed_, until);
  backed_ = until;
}

bool BlockLedger::take_reply(std::span<const std::byte> names, std::uint32_t position,
                             wire::Holds& holds) {
  BlockTable& table = BlockTable::here();
  const BlockTable::Lock lock{table.mutex_};
  for (; names.size() >= sizeof(ReplyName); names = names.subspan(sizeof(ReplyName))) {
    ReplyName name;
    std::memcpy(&name, names.data(), sizeof name);
    if (name.index >= table.entries_.size()) return false;
    Block& block = table.entries_[name.index];
    if (block.kind_ == Block::Kind::none || block.generation_ != name.generation ||
        (block.kind_ != Block::Kind::own && block.count_->load() == 0))
      return false;
    holds.add(block);
  }
  replied_.store(known | position, std::memory_order_relaxed);
  return names.empty();
}

// --- What it may have, for the table, under its lock ---------------------------------------------

bool BlockLedger::may_have(const Block& block) noexcept {
  const auto index = block.index_;
  const bool inherits = block.serial_ < born_;
  if (inherits && inheritance_.for_life) return true;
  if (std::ranges::find(kept_, block.serial_) != kept_.end()) return true;
  // Partner: Worker::run(), after all that making the object did.
  if (inherits && control_.calls.made.load(std::memory_order_acquire) == 0) {
    waited_for_.store(WaitedFor::progress, std::memory_order_relaxed);
    return true;
  }
  const auto grant = index < grants_size_ ? grants_[index].load(std::memory_order_relaxed) : 0;
  if (grant != 0 && !is_done(position_of(grant))) {
    waited_for_.store(WaitedFor::progress, std::memory_order_relaxed);
    return true;
  }
  if ((!inherits && grant == 0) || index >= backed_) return false;
  if (region_.inherited(slice_, index).load() != 0) return true;
  HeldWord& held = region_.held(slice_, index);
  if (held.count.load() != 0) {
    if (waited_for_.load(std::memory_order_relaxed) != WaitedFor::progress)
      waited_for_.store(WaitedFor::release, std::memory_order_relaxed);
    let_go_seen_ = control_.calls.let_go.load(std::memory_order_relaxed);
    if (control_.orders.tell_let_go.exchange(1) == 0 && region_.heavy_barriers())
      sys::heavy_barrier();
    // It may have let go just before it could see that. Partner: BlockTable::tell_let_go().
    if (held.count.load() != 0) return true;
  }
  // Written before the count became 0.
  const auto mark = held.in_reply.load(std::memory_order_relaxed);
  const auto replied = replied_.load(std::memory_order_relaxed);
  const bool on_its_way =
      mark != 0 && (replied == 0 || !is_at_or_after(position_of(replied), mark - 1));
  if (on_its_way) waited_for_.store(WaitedFor::progress, std::memory_order_relaxed);
  return on_its_way;
}

/// Whether the worker is through with the request there, be it that it ran or that it was dropped.
bool BlockLedger::is_done(std::uint32_t position) const noexcept {
  const auto& calls = control_.calls;
  // Partners: the worker's stores, after it counted what the request brought it.
  const auto finished = calls.finished.load(std::memory_order_acquire);
  if (finished != nothing_yet && is_at_or_after(finished, position)) return true;
  const auto considered = calls.considered.load(std::memory_order_acquire);
  return considered != nothing_yet && considered != position &&
         is_at_or_after(considered, position);
}

void BlockLedger::clear(std::uint32_t block) noexcept {
  if (block < grants_size_) grants_[block].store(0, std::memory_order_relaxed);
  if (block < backed_) region_.held(slice_, block).in_reply.store(0, std::memory_order_relaxed);
}

void BlockLedger::keep(const Block& block) noexcept {
  if (block.serial_ < born_ && block.is_meeting()) invite(block);
  if (block.serial_ >= born_ || std::ranges::find(kept_, block.serial_) != kept_.end()) return;
  try {
    kept_.push_back(block.serial_);
  } catch (...) {
    inheritance_.for_life = true;  // no memory to note it alone
  }
}

void BlockLedger::stop_waiting() noexcept {
  if (waited_for_.load(std::memory_order_relaxed) == WaitedFor::nothing) return;
  waited_for_.store(WaitedFor::nothing, std::memory_order_relaxed);
  control_.orders.tell_let_go.store(0, std::memory_order_relaxed);
}

void BlockLedger::look() noexcept {
  if (waited_for_.load(std::memory_order_relaxed) == WaitedFor::release &&
      control_.calls.let_go.load(std::memory_order_relaxed) ==
          let_go_seen_.load(std::memory_order_relaxed))
    return;
  BlockTable::here().sweep();
}

// --- Meetings ------------------------------------------------------------------------------------

/// It is not reaped before end().
sys::Incarnation BlockLedger::worker() noexcept {
  const auto pid = pid_.load(std::memory_order_relaxed);
  auto worker = worker_.load(std::memory_order_relaxed);
  if (worker == 0 && pid != 0) {
    worker = sys::incarnation_of(pid);
    worker_.store(worker, std::memory_order_relaxed);
  }
  return worker;
}

void BlockLedger::invite(const Block& block) noexcept {
  if (const auto who = worker(); who != 0) Meeting{block.bytes()}.invite(who);
}

void BlockLedger::invite(const wire::Holds& holds) noexcept {
  holds.for_each([this](const wire::Hold& hold) {
    const auto& block = static_cast<const Block&>(hold);
    if (block.is_meeting()) invite(block);
  });
}

/// With the table's lock held.
void BlockLedger::leave_meetings(bool in_peace) noexcept {
  const auto pid = pid_.exchange(0, std::memory_order_relaxed);
  worker_.store(0, std::memory_order_relaxed);
  if (pid == 0) return;
  for (const Block& block : BlockTable::here().entries_) {
    const bool is_there = block.kind_ == Block::Kind::own ||
                          (block.kind_ != Block::Kind::none && block.count_->load() > 0);
    if (!is_there || !block.is_meeting()) continue;
    const Meeting meeting{block.bytes()};
    in_peace ? meeting.part(pid) : meeting.lose(pid);
  }
}

// --- In the worker -------------------------------------------------------------------------------

void enter_worker(Region& region, std::uint32_t slice) {
  BlockTable::births().push_back(
      {&region, slice, sys::process_stamp(), region.visible_blocks_end()});
}

void finish_reply(wire::Buffer& reply, std::uint32_t position) {
  const Birth& birth = *BlockTable::own_birth();
  std::uint32_t count = 0;
  reply.holds().for_each([&](const wire::Hold& hold) {
    const auto& block = static_cast<const Block&>(hold);
    const ReplyName name{block.origin_index_, block.origin_generation_};
    reply.append(&name, sizeof name);
    // Before its count can become 0. Partner: BlockLedger::may_have().
    birth.region->held(birth.slice, name.index)
        .in_reply.store(reply_mark(position), std::memory_order_release);
    ++count;
  });
  reply.append(&count, sizeof count);
}

std::optional<std::span<const std::byte>> cut_names(std::span<const std::byte>& reply) noexcept {
  std::uint32_t count = 0;
  if (reply.size() < sizeof count) return std::nullopt;
  std::memcpy(&count, reply.data() + reply.size() - sizeof count, sizeof count);
  reply = reply.first(reply.size() - sizeof count);
  if (count > reply.size() / sizeof(ReplyName)) return std::nullopt;
  const auto names = reply.last(count * sizeof(ReplyName));
  reply = reply.first(reply.size() - names.size());
  return names;
}

}  // namespace apalis::detail::channel
