// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which of this process's blocks one worker may have: what the parent knows from what it sent, and
// what the worker says in its slice.

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/incarnation.hpp>
#include <apalis/detail/wire/hold.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace apalis::detail::channel {

/// How a worker comes by blocks that no message brings.
struct Inheritance {
  const void* maker = nullptr;  // whose CarriedEnd is this worker's affair
  bool for_life = false;        // what there was at its birth, others may be made from
};

/// **Owns** the record of one slice's workers, in the parent's memory. A block is not freed while
/// the record and the worker's words together can mean that it is used.
/// **Threads:** one at a time, but the table looks at it from any, under its own lock.
/// **Fork:** belongs to the process that made it; elsewhere forget() it.
/// **Peer:** whatever a worker writes can keep blocks that it was given until it ends, and no others.
/// **Throws** SystemError, std::bad_alloc from prepare() and begin().
class BlockLedger {
 public:
  BlockLedger(Region& region, std::uint32_t slice, const Inheritance& inheritance);
  BlockLedger(const BlockLedger&) = delete;
  BlockLedger& operator=(const BlockLedger&) = delete;
  ~BlockLedger() { close(); }

  /// Before a worker is forked: it has copies of all references that there are.
  void begin();
  /// The worker that begin() was for.
  void welcome(pid_t pid) noexcept;
  /// The worker is gone, and with it all that it had. `in_peace`: as it was to.
  void end(bool in_peace = false) noexcept;
  /// There will be no more.
  void close() noexcept;
  void forget() noexcept { open_ = false; }

  /// Before a message is sent that names these.
  void prepare(const wire::Holds& holds);
  /// The same for the worker alone, to which the message may not go at once.
  void invite(const wire::Holds& holds) noexcept;
  /// The message ends at `position`.
  void grant(const wire::Holds& holds, std::uint32_t position) noexcept;

  /// Adds the blocks that a worker's reply names: `names` is what cut_names() gave. False if there are
  /// no such blocks. Throws std::bad_alloc.
  [[nodiscard]] bool take_reply(std::span<const std::byte> names, std::uint32_t position,
                                wire::Holds& holds);

  /// Whether the worker may have let go of something that is waited for.
  void look_again() noexcept {
    if (waited_for_.load(std::memory_order_relaxed) != WaitedFor::nothing) look();
  }

 private:
  friend class BlockTable;

  /// Why a block that waits is not free because of this worker.
  enum class WaitedFor : std::uint8_t { nothing, progress, release };

  [[nodiscard]] bool may_have(const Block& block) noexcept;
  [[nodiscard]] bool is_done(std::uint32_t position) const noexcept;
  void back(std::uint32_t blocks);
  void clear(std::uint32_t block) noexcept;
  void keep(const Block& block) noexcept;
  void look() noexcept;
  void invite(const Block& block) noexcept;
  void leave_meetings(bool in_peace) noexcept;
  [[nodiscard]] sys::Incarnation worker() noexcept;
  void stop_waiting() noexcept;

  Region& region_;
  std::uint32_t slice_;
  Inheritance inheritance_;
  ControlPage& control_;
  bool open_ = true;

  // Written by the link, which alone makes the array grow, under the table's lock.
  std::unique_ptr<std::atomic<std::uint64_t>[]> grants_;  // by block: 2^32 + position; 0: none
  std::uint32_t grants_size_ = 0;
  std::uint32_t backed_ = 0;  // blocks whose words have pages
  std::uint64_t born_ = 0;    // blocks of lower serials existed
  std::atomic<pid_t> pid_{0};
  std::atomic<sys::Incarnation> worker_{0};  // once it was asked for
  std::vector<std::uint64_t> kept_;  // serials of what it carries
  std::atomic<std::uint64_t> replied_{0};  // 2^32 + position of the last reply with blocks
  std::atomic<WaitedFor> waited_for_{WaitedFor::nothing};
  std::atomic<std::uint32_t> let_go_seen_{0};
};

/// In a worker, from its birth on.
void enter_worker(Region& region, std::uint32_t slice);

/// A worker's reply names blocks: appends their names to it, and marks them as being in the reply at
/// `position` or behind it.
void finish_reply(wire::Buffer& reply, std::uint32_t position);

/// Cuts off what finish_reply() appended: the names. Nothing if there are none.
[[nodiscard]] std::optional<std::span<const std::byte>> cut_names(
    std::span<const std::byte>& reply) noexcept;

}  // namespace apalis::detail::channel
