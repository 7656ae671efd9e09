// SPDX-License-Identifier: BSL-1.0
#pragma once

// Batches on their way to workers and back, whatever they hold: those of a map or the tasks of a
// group.

#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_watch.hpp>
#include <apalis/detail/engine/pace.hpp>
#include <apalis/detail/engine/pool.hpp>
#include <apalis/detail/engine/run_scratch.hpp>
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
  struct Rest {
    std::chrono::nanoseconds time{0};
    std::uint32_t half = 0;  // items
  };
  static constexpr std::uint64_t everything = ~std::uint64_t{0};
  static constexpr std::chrono::microseconds shortest_pause{100};
  static constexpr std::chrono::microseconds longest_pause{10'000};

  [[nodiscard]] bool launch_next(std::uint32_t lane);
  [[nodiscard]] std::optional<std::uint32_t> pick_lane();
  [[nodiscard]] bool is_late(const Lane& lane);
  [[nodiscard]] bool may_send() const;
  [[nodiscard]] bool has_lane_without_orphans() const;
  void leave(Batch& batch) noexcept;
  [[nodiscard]] bool open_lane(std::uint32_t index);
  void set_up(Lane& lane, const wire::Entry& entry);
  void submit(Batch& batch, Lane& lane);
  void drop_frame_of(const Lane& lane) noexcept;
  void launch(Batch& batch, std::uint32_t index);
  void lose_lane(std::uint32_t index) noexcept;
  [[nodiscard]] bool is_lost(const Batch& batch) const noexcept;
  [[nodiscard]] Batch* find_lost() const noexcept;
  void refuse(Batch& batch);
  [[nodiscard]] bool wait_for_some(actor::Deadline deadline);
  [[nodiscard]] bool wait_until(actor::Deadline deadline);
  [[nodiscard]] bool is_first_of_all() const;
  void take_in();
  [[nodiscard]] bool settle(Batch& batch);
  [[nodiscard]] bool may_leave(Batch& batch) const noexcept;
  void mourn(Batch& batch);
  void send_again(Batch& batch) noexcept;
  [[nodiscard]] bool is_all_sent() const;
  [[nodiscard]] std::optional<std::size_t> to_be_sent() const;
  [[nodiscard]] Batch* long_first() const;
  [[nodiscard]] bool may_share() const;
  [[nodiscard]] bool share();
  [[nodiscard]] std::optional<std::uint32_t> idle_lane() const;
  [[nodiscard]] Rest rest_of(const Batch& batch, bool is_first);
  [[nodiscard]] Batch* take_back(Batch& batch);
  [[nodiscard]] Batch* take_back(Batch& batch, std::uint32_t most);
  void land(const Batch& batch);
  Batch& divide(Batch& batch, std::uint32_t keep);
  void forget(Batch& batch) noexcept;
  [[nodiscard]] actor::Clock::time_point now();
  void note_failure(const Batch& batch) noexcept;
  [[nodiscard]] bool take_done();

  const std::uint32_t id_;
  Pool& pool_;
  Pace pace_;
  RunOptions options_;
  std::unique_ptr<RunScratch> room_;
  std::vector<Lane>& lanes_;
  std::vector<LaneCounts>& counts_;
  std::deque<std::unique_ptr<Batch>>& batches_;
  std::vector<Batch*>& flying_batches_;
  std::vector<std::unique_ptr<Batch>>& spare_;
  std::unique_ptr<Batch> consumed_;
  std::optional<actor::Clock::time_point> now_;  // within next()
  std::chrono::microseconds pause_ = shortest_pause;  // before the next look at what to share
  std::uint64_t next_item_ = 0;
  std::uint64_t last_wanted_ = everything;  // item that a batch may begin with
  std::uint64_t launches_ = 0;
  std::uint64_t looks_ = 0;  // by share()
  std::size_t done_ = 0;
  std::size_t lost_ = 0;  // batches to be sent again
  unsigned refusals_ = 0;  // by workers that died before they were sent anything
  bool exhausted_ = false;
  bool waited_for_first_ = false;
};

}  // namespace apalis::detail::engine
