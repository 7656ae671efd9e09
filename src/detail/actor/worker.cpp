// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/thread_call.hpp>
#include <apalis/detail/actor/worker.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/stdio.hpp>
#include <apalis/detail/sys/thread.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <cstring>

namespace apalis::detail::actor {
namespace {

constexpr std::size_t kept_capacity = std::size_t{1} << 20;  // of buffers, between messages
constexpr int most_breaths = 8;
constexpr int burst = 4;            // requests found without waiting between them
constexpr int exit_no_memory = 71;  // EX_OSERR: not even a short reply could be sent

}  // namespace

Worker::Worker(channel::Region& region, const WorkerPlan& plan, Maker& maker)
    : region_(region),
      plan_(plan),
      maker_(maker),
      residence_(maker.of_many),
      view_(channel::SliceView::at(region.base(plan.slice))),
      receiver_(view_.requests),
      sender_(view_.replies, !region.backs_on_demand()),
      own_bell_(view_.control->child_bell.asleep, view_.control->child_bell.epoch, sys::every_bit,
                region.heavy_barriers()),
      parent_bell_(view_.control->parent_bell.asleep, region.header().parent.epoch,
                   std::uint32_t{1} << plan.slice % 32, region.heavy_barriers(),
                   region.event_fd()),
      occupancy_(region.occupancy()),
      parent_(view_.control->child_core, view_.control->parent_core),
      placement_(region.header(), region.cores(), view_.control->parent_core,
                 view_.control->awake.core) {}

void Worker::run() {
  reach(Point::child_born);
  if (thread_call != nullptr) {  // forked by a call of the threads backend
    thread_call = nullptr;
    sys::unblock_signals();
  }
  if (!region_.isolate(plan_.slice, plan_.from_nursery)) sys::exit_now(exit_no_memory);
  sys::arm_crash_report(view_.control->crash);
  current_call.enter(*view_.control, plan_.generation, maker_.worker);
  make_object();
  reach(Point::child_made);
  while (serve()) {
  }
}

void Worker::make_object() {
  static const std::function<void()> nothing;
  const auto& on_start = plan_.on_start != nullptr ? *plan_.on_start : nothing;
  broken_ = !residence_.move_in(maker_, on_start, construction_error_);
}

bool Worker::serve() {
  channel::Arrival arrival;
  if (!receiver_.try_take(arrival)) {
    wait_for_request();
    return true;
  }
  ++run_;
  reach(Point::child_taken);
  const auto message = whole_message(arrival);
  if (message.data() == nullptr) return true;  // a piece; more follow
  switch (static_cast<Request>(arrival.head.tag())) {
    case Request::call:
      if (begin(arrival)) {
        run_call(message, arrival.position);
      } else {
        result_.clear();
        reply(Answer::cancelled, result_);
      }
      break;
    case Request::post:
      if (!begin(arrival)) break;
      run_post(message);
      view_.control->calls.finished.store(arrival.position, std::memory_order_release);
      reach(Point::child_finished);
      break;
    case Request::drain:
      reply_count(Answer::value);
      break;
    case Request::close:
      view_.control->calls.begun.store(arrival.position, std::memory_order_release);
      end(Answer::value);
      return false;
  }
  if (receiver_.release(arrival)) parent_bell_.ring();
  reach(Point::child_released);
  gathered_.clear();
  gathered_.shrink(kept_capacity);
  if (served_ == plan_.max_calls) [[unlikely]] {
    end(Answer::retired);
    return false;
  }
  return true;
}

/// The object's destructor and the last message.
void Worker::end(Answer last) {
  if (void* const object = residence_.vacate()) maker_.destroy(object);
  sys::flush_output();
  reach(Point::child_closing);
  reply_count(last);
  reach(Point::child_closed);
}

std::span<const std::byte> Worker::whole_message(channel::Arrival& arrival) {
  if (!arrival.in_arena()) return {arrival.inline_bytes, arrival.head.size()};
  const std::byte* bytes = receiver_.block_bytes(arrival);
  if (arrival.head.kind() == channel::Kind::block) return {bytes, arrival.block.size};
  if (gathered_.size() == 0) gathered_.reserve(arrival.block.total);
  gathered_.append(bytes, arrival.block.size);
  if (gathered_.size() == arrival.block.total) return gathered_.bytes();
  if (receiver_.release(arrival)) parent_bell_.ring();
  return {};
}

bool Worker::begin(const channel::Arrival& arrival) {
  auto& calls = view_.control->calls;
  calls.considered.store(arrival.position, std::memory_order_relaxed);
  if (region_.heavy_barriers()) {
    sys::light_barrier();  // partner: the heavy barrier of ProcessLink::cancel()
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  reach(Point::child_considered);
  if (has_orders(arrival)) return false;
  if (view_.control->orders.timed.load(std::memory_order_relaxed) != 0)
    calls.begun_at.store(Clock::now().time_since_epoch() / std::chrono::nanoseconds{1},
                         std::memory_order_relaxed);
  // Partner: the look at `begun` of a parent that wants to know since when, or how far its worker
  // had come when it died.
  calls.begun.store(arrival.position, std::memory_order_release);
  current_call.position = arrival.position;
  ++served_;
  reach(Point::child_begun);
  return true;
}

/// Whether the parent wants this call dropped. Looking at the request's own mark each time would
/// fetch its cache line again, in which the parent may be writing the next request; so that is
/// done only while a mark may be among the requests under way.
bool Worker::has_orders(const channel::Arrival& arrival) {
  const auto& orders = view_.control->orders;
  const auto cancels = orders.cancels.load(std::memory_order_acquire);
  if (cancels != cancels_seen_) [[unlikely]] {
    cancels_seen_ = cancels;
    marks_possible_ = channel::lane_units;
  }
  if (marks_possible_ > 0) [[unlikely]] {
    --marks_possible_;
    if (receiver_.marked(arrival)) return true;
  }
  return orders.discard.load(std::memory_order_relaxed) != 0;
}

void Worker::run_call(std::span<const std::byte> message, std::uint32_t position) {
  if (broken_) return reply(Answer::exception, construction_error_);
  const auto answer = residence_.run(message, result_) ? Answer::value : Answer::exception;
  view_.control->calls.finished.store(position, std::memory_order_relaxed);
  reach(Point::child_ran);
  reply(answer, result_);
  result_.shrink(kept_capacity);
}

void Worker::run_post(std::span<const std::byte> message) {
  if (broken_) {
    if (failed_posts_++ == 0) reply(Answer::post_failed, construction_error_);
    return;
  }
  if (!residence_.run(message, result_) && failed_posts_++ == 0)
    reply(Answer::post_failed, result_);
}

void Worker::reply_count(Answer answer) {
  result_.clear();
  result_.append(&failed_posts_, sizeof failed_posts_);
  failed_posts_ = 0;
  reply(answer, result_);
}

void Worker::reply(Answer answer, const wire::Buffer& bytes) {
  try {
    send(answer, bytes);
  } catch (const SystemError&) {  // no memory for the arena's pages: say so in a short reply
    wire::Buffer error;
    wire::encode_current_exception(error, "sending the result");
    try {
      send(Answer::exception, error);
    } catch (const SystemError&) {
      sys::exit_now(exit_no_memory);
    }
  }
}

void Worker::send(Answer answer, const wire::Buffer& bytes) {
  const auto tag = static_cast<std::uint8_t>(answer);
  const auto size = bytes.size();
  if (size <= channel::block_limit) {
    send_when_possible([&] { return sender_.try_send(tag, bytes.data(), size); });
    return;
  }
  sender_.back_all();
  for (std::size_t at = 0; at < size;) {
    const auto part = std::min<std::size_t>(size - at, channel::block_limit);
    send_when_possible([&] { return sender_.try_send_piece(tag, bytes.data() + at, part, size); });
    at += part;
    reach(Point::child_piece);
  }
}

template <class Try>
void Worker::send_when_possible(Try try_send) {
  if (!try_send()) [[unlikely]] {
    channel::Patience patience{occupancy_};
    while (!try_send()) {
      if (!patience.pass()) sleep_unless([this] { return sender_.has_progress(); });
    }
  }
  reach(Point::child_replied);
  parent_bell_.ring();
}

void Worker::wait_for_request() {
  // No answer to our last reply can be here within the first breath. After a run of requests more
  // are on their way, and staying away longer keeps a distance to the lines that the parent writes.
  breaths_ = run_ >= burst ? std::min(2 * breaths_, most_breaths) : 1;
  run_ = 0;
  const int core = sys::current_core();
  const bool shared = parent_.is_on(core);
  if (waits_++ % channel::waits_between_looks == 0) placement_.note(core, shared);
  if (!shared) [[likely]]
    occupancy_.breathe(breaths_);
  channel::Patience patience{occupancy_, !shared && receiver_.position() > 1};
  while (!receiver_.has_message()) {
    if (!patience.pass()) return sleep_unless([this] { return receiver_.has_message(); });
  }
}

template <class Ready>
void Worker::sleep_unless(Ready ready) {
  auto& counted = view_.control->awake.counted;
  counted.store(0, std::memory_order_relaxed);
  occupancy_.sleep();
  placement_.leave();
  const auto ticket = own_bell_.announce();
  reach(Point::child_asleep);
  if (!ready()) {
    const auto& self = process::this_child();
    if (self.parent_watched) {
      own_bell_.sleep(ticket, std::nullopt);
    } else {
      own_bell_.sleep(ticket, std::chrono::seconds{1});
      if (sys::parent_is_gone(self.parent)) sys::exit_now(0);
    }
  }
  occupancy_.wake();
  counted.store(1, std::memory_order_relaxed);
}

}  // namespace apalis::detail::actor
