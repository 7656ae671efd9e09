// SPDX-License-Identifier: BSL-1.0
#pragma once

// The child's side of a link: takes requests in order, runs them on its object, replies.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/channel/placement.hpp>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string_view>

namespace apalis::detail::actor {

/// What a worker is told at its birth.
struct WorkerPlan {
  std::uint32_t slice = 0;
  std::uint64_t max_calls = std::numeric_limits<std::uint64_t>::max();  ///< then it retires
  std::uint32_t generation = 0;              ///< how many workers the handler had before
  StartHooks hooks;
  bool from_nursery = false;  ///< forked from a process that sees its own slice only
};

/// **Owns** the object, from the first message on, and this side's ends of both lanes.
/// **Threads:** the child's main thread.
/// **Blocks:** while there are no requests, and while the reply lane is full.
/// **Peer death:** the kernel ends this process; see sys::watch_parent.
/// **Peer:** the parent's bytes are trusted: they come from the same program.
class Worker final : public process::ChildBody {
 public:
  Worker(channel::Region& region, const WorkerPlan& plan, Maker& maker);

  void run() override;

 private:
  void make_object();
  [[nodiscard]] bool wait_for_request();
  [[nodiscard]] Deadline when_to_leave();
  void leave();
  [[nodiscard]] bool serve();  // one request; false after the last
  class Stream;
  [[nodiscard]] std::span<const std::byte> whole_head(channel::Arrival& arrival);
  [[nodiscard]] channel::Arrival next_piece();
  void release(const channel::Arrival& arrival) noexcept;
  [[nodiscard]] bool begin(const channel::Arrival& arrival);
  [[nodiscard]] bool has_orders(const channel::Arrival& arrival);
  void run_call(std::span<const std::byte> message, std::uint32_t position, Stream& stream);
  void run_post(std::span<const std::byte> message, Stream& stream);
  void end(Answer last);
  void reply(Answer answer, const wire::Buffer& bytes);
  void send(Answer answer, const wire::Buffer& bytes);
  void reply_count(Answer answer);
  template <class Try>
  void send_when_possible(Try try_send);
  template <class Ready>
  void sleep_unless(Ready ready, Deadline until);
  [[nodiscard]] bool has_spare_memory() const noexcept;
  void give_back_memory() noexcept;

  channel::Region& region_;
  WorkerPlan plan_;
  Maker& maker_;
  Residence residence_;
  channel::SliceView view_;
  channel::Receiver receiver_;
  channel::Sender sender_;
  channel::Doorbell own_bell_;
  channel::Doorbell parent_bell_;
  channel::Occupancy occupancy_;
  channel::Neighbour parent_;
  channel::Placement placement_;
  std::uint32_t waits_ = 0;
  wire::Buffer construction_error_;  // the encoded exception, if making the object threw
  bool broken_ = false;
  wire::Buffer result_;
  wire::Buffer gathered_;            // pieces of a large request's head
  std::deque<wire::Buffer> views_;   // of attachments, for the call that runs
  int breaths_ = 1;  // how long to stay away from the ring when it is empty
  int run_ = 0;      // requests since it was empty
  std::uint32_t cancels_seen_ = 0;
  std::uint32_t marks_possible_ = 0;  // requests that may have been marked before we saw the count
  std::size_t lean_heap_end_ = 0;     // when no memory was kept for later
  std::uint64_t failed_posts_ = 0;   // since the last drain
  std::uint64_t served_ = 0;         // calls and posts begun
  std::uint32_t idle_at_ = channel::nothing_yet;  // requests there were when it last became idle
  Deadline leaves_at_ = no_deadline;              // if none comes until then
};

}  // namespace apalis::detail::actor
