// SPDX-License-Identifier: BSL-1.0
#pragma once

// Batches on their way to workers and back, whatever they hold: those of a map or the tasks of a
// group.

#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/engine/pace.hpp>
#include <apalis/detail/engine/pool.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace apalis::detail::engine {

/// Behind the Entry of a batch: which items it has. Small, so that a batch of one item or two fits a
/// pair of units.
struct BatchHeader {
  std::uint32_t run;
  std::uint32_t skip;         // items that are there but not to be run
  std::uint32_t count;        // items to be run after those
  std::uint32_t first_low;    // index of its first item
  std::uint32_t first_high;

  [[nodiscard]] std::uint64_t first() const noexcept {
    return std::uint64_t{first_high} << 32 | first_low;
  }
};
static_assert(sizeof(BatchHeader) == 20);

/// At the start of a batch's reply.
struct ReplyHeader {
  std::uint64_t busy;         // nanoseconds
  std::uint64_t peak_memory;  // bytes, of the worker so far
  std::uint32_t values;       // how many follow
  std::uint32_t failed;       // 1: behind them, why the next one has none
};

using PartState = actor::PartState;
using OwnedPart = std::unique_ptr<PartState, actor::Abandon>;

struct Batch {
  const wire::Entry* entry = nullptr;
  const void* code = nullptr;  // that the message leads to; null for none
  std::uint64_t first = 0;
  std::uint32_t skip = 0;
  std::uint32_t count = 0;
  std::uint32_t lane = 0;
  std::uint32_t attempts = 0;  // that a worker did not survive
  std::uint32_t unbegun = 0;   // workers that died before they began it
  std::uint32_t leavers = 0;   // and that had ended since they were idle
  std::uint64_t serial = 0;    // of its sending
  bool done = false;
  wire::Buffer message;
  std::shared_ptr<void> callable;  // that the message refers to; null for none
  OwnedPart state;
  ReplyHeader reply{};
  std::exception_ptr error;  // why it has no reply

  /// Index of its first item that is run.
  [[nodiscard]] std::uint64_t begin() const noexcept { return first + skip; }
  [[nodiscard]] std::uint64_t end() const noexcept { return first + skip + count; }
  [[nodiscard]] bool failed() const noexcept { return error != nullptr || reply.failed != 0; }
  /// Behind the header.
  [[nodiscard]] wire::Reader results() const;
  /// Why a batch that failed did, and the items that this is about.
  [[noreturn]] void throw_failure(wire::Reader& behind_values) const;
};

/// What stands before what a batch holds: the Entry's address and the BatchHeader.
inline constexpr std::size_t message_header = sizeof(const wire::Entry*) + sizeof(BatchHeader);
/// Writes room for that; the rest goes behind.
void begin_message(Batch& batch, const wire::Entry& entry, const void* code);

struct RunOptions {
  bool ordered = true;
  bool collects = false;  // failed items are results
  bool isolates = false;  // and so is a batch that can't be sent: the others go on
  std::uint32_t retries = 0;
  std::size_t most_batches = 0;  // that are not consumed yet; 0: any number
  std::uint32_t depth = 0;       // batches that a worker has at once; 0: as Pace says
  MapWatch* watch = nullptr;
};

/// **Owns** the batches under way. Its end cancels what was not begun.
/// **Threads:** one.
/// **Blocks:** next() until a batch is there.
/// **Peer death:** the batch that its worker ran is run again by others, item by item in the end,
/// if RunOptions::retries allow; what that worker had not begun is, in any case.
class Run {
 public:
  Run(Pool& pool, Pace pace, RunOptions options);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// The next batch that is done, in order if that was asked for; null once there is none, or at
  /// the deadline. It stays until the next call. Throws what next_batch() throws, and SystemError.
  Batch* next(actor::Deadline deadline = actor::no_deadline);

  [[nodiscard]] const RunOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::span<const LaneCounts> counts() const noexcept { return counts_; }

 protected:
  virtual ~Run();

  /// Makes workers at once that might otherwise be made later.
  void open_all(std::size_t most);

  /// How many items there are still, where that is known.
  [[nodiscard]] virtual std::optional<std::size_t> left() const = 0;
  /// Up to `most` > 0 items with what is to be sent of them; null if there are none. Fewer are the
  /// last ones, until reopen().
  virtual std::unique_ptr<Batch> next_batch(std::size_t most, const actor::Link& link) = 0;
  /// What a worker is sent before its first batch; false if that is nothing.
  [[nodiscard]] virtual bool write_frame(wire::Buffer& message) const = 0;

  /// One to be filled.
  [[nodiscard]] std::unique_ptr<Batch> fresh();
  /// There are items again.
  void reopen() noexcept { exhausted_ = false; }
  /// Sends as much as the workers are to have.
  void fill();
  [[nodiscard]] Pool& pool() const noexcept { return pool_; }
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }

 private:
  struct Lane {
    LinkPointer link;
    OwnedPart frame;  // the message that set it up
    bool is_set_up = false;
    bool refused = false;  // by the system
    bool leaves = false;   // its worker ends, and has not yet given back what it has not begun
    std::uint32_t flying = 0;
    actor::Clock::time_point active_since;  // if it has any

    void forget_worker() noexcept;
  };
  static constexpr std::uint64_t everything = ~std::uint64_t{0};

  [[nodiscard]] bool launch_next(std::uint32_t lane);
  [[nodiscard]] std::optional<std::uint32_t> pick_lane() const;
  [[nodiscard]] bool has_lane_without_orphans() const;
  void leave(Batch& batch) noexcept;
  [[nodiscard]] bool open_lane(std::uint32_t index);
  void set_up(Lane& lane, const wire::Entry& entry);
  void submit(Batch& batch, Lane& lane);
  void drop_frame_of(const Lane& lane) noexcept;
  void launch(Batch& batch, std::uint32_t index);
  void lose_lane(std::uint32_t index) noexcept;
  [[nodiscard]] Batch* find_lost() const noexcept;
  void refuse(Batch& batch);
  [[nodiscard]] bool wait_for_some(actor::Deadline deadline);
  void take_in();
  [[nodiscard]] bool settle(Batch& batch);
  [[nodiscard]] bool may_leave(Batch& batch) const noexcept;
  void mourn(Batch& batch);
  void divide(Batch& batch);
  void note_failure(const Batch& batch) noexcept;
  [[nodiscard]] bool take_done();

  const std::uint32_t id_;
  Pool& pool_;
  Pace pace_;
  RunOptions options_;
  std::vector<Lane> lanes_;
  std::vector<LaneCounts> counts_;
  std::deque<std::unique_ptr<Batch>> batches_;  // that were not consumed, in order
  std::vector<Batch*> flying_batches_;          // of them, in the order of their sending
  std::vector<std::unique_ptr<Batch>> spare_;
  std::unique_ptr<Batch> consumed_;
  std::vector<actor::Source*> sources_;  // to wait for
  std::uint64_t next_item_ = 0;
  std::uint64_t last_wanted_ = everything;  // item that a batch may begin with
  std::uint64_t launches_ = 0;
  std::size_t done_ = 0;
  std::size_t lost_ = 0;  // batches to be sent again
  unsigned refusals_ = 0;  // by workers that died before they were sent anything
  bool exhausted_ = false;
  bool waited_for_first_ = false;
};

}  // namespace apalis::detail::engine
