// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/pieces.hpp>
#include <apalis/detail/actor/ref_cache.hpp>
#include <apalis/detail/actor/thread_call.hpp>
#include <apalis/detail/actor/worker.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/core/protocol_point.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/heap.hpp>
#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/stdio.hpp>
#include <apalis/detail/sys/thread.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <chrono>
#include <cstring>
#include <optional>

namespace apalis::detail::actor {
namespace {

constexpr std::size_t kept_capacity = std::size_t{1} << 20;  // of buffers, between messages
constexpr int most_breaths = 8;
constexpr int burst = 4;            // requests found without waiting between them
constexpr std::size_t kept_heap = std::size_t{1} << 30;  // of freed memory, until it is idle
constexpr std::size_t spare_heap = std::size_t{1} << 20;  // not worth giving back
constexpr std::chrono::milliseconds idle_after{200};
constexpr std::chrono::milliseconds before_first_request = std::chrono::minutes{1};
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
    if (thread_call->blocks_signals) sys::unblock_signals();
    thread_call = nullptr;
  }
  if (!region_.isolate(plan_.slice, plan_.from_nursery)) sys::exit_now(exit_no_memory);
  sys::arm_crash_report(view_.control->crash);
  channel::enter_worker(region_, plan_.slice);
  result_.set_for_parent();
  current_call.enter(*view_.control, plan_.generation, maker_.worker, region_.heavy_barriers());
  sys::keep_freed_memory(kept_heap);
  lean_heap_end_ = sys::heap_end();
  make_object();
  // Partner: BlockLedger::may_have(). What the object refers to is counted.
  view_.control->calls.made.store(1, std::memory_order_release);
  reach(Point::child_made);
  while (serve()) {
  }
}

void Worker::make_object() {
  broken_ = !residence_.move_in(maker_, plan_.hooks, construction_error_);
}

/// The attachments of the request that runs, as they come in.
class Worker::Stream final : public wire::AttachmentReader {
 public:
  Stream(Worker& worker, std::size_t size) noexcept : worker_(worker), left_(size) {}

  [[nodiscard]] std::size_t remaining() const noexcept override { return left_; }

  void read(std::size_t n, FunctionRef<void(std::span<const std::byte>)> use) override {
    while (n > 0) {
      const auto arrival = worker_.next_piece();
      const std::size_t size = arrival.block.size;
      left_ -= size;
      n -= size;
      const Release release{worker_, arrival};
      use({worker_.receiver_.block_bytes(arrival), size});
      reach(Point::child_attachment);
    }
  }

  [[nodiscard]] std::span<const std::byte> view(std::size_t n) override {
    auto& copy = worker_.views_.emplace_back();
    copy.reserve(n);
    read(n, [&](std::span<const std::byte> chunk) { copy.append(chunk.data(), chunk.size()); });
    return copy.bytes();
  }

  /// Passes over what nobody asked for.
  void end() {
    if (left_ > 0) [[unlikely]]
      read(left_, [](std::span<const std::byte>) {});
  }

 private:
  struct Release {
    Worker& worker;
    const channel::Arrival& arrival;
    ~Release() { worker.release(arrival); }
  };

  Worker& worker_;
  std::size_t left_;
};

bool Worker::serve() {
  channel::Arrival arrival;
  if (!receiver_.try_take(arrival)) {
    if (wait_for_request() || gathered_.size() != 0) [[likely]]
      return true;
    leave();
    return false;
  }
  ++run_;
  reach(Point::child_taken);
  const auto message = whole_head(arrival);
  if (message.data() == nullptr) return true;  // a piece; more follow
  const bool in_pieces = arrival.head.kind() == channel::Kind::piece;
  Stream stream{*this, in_pieces ? arrival.block.total - arrival.block.head : 0};
  switch (static_cast<Request>(arrival.head.tag())) {
    case Request::call:
      if (begin(arrival)) {
        if (in_pieces) release(arrival);
        run_call(message, arrival.position, stream);
      } else {
        if (in_pieces) release(arrival);
        stream.end();
        result_.clear();
        reply(Answer::cancelled, result_);
      }
      break;
    case Request::post: {
      const bool begun = begin(arrival);
      if (in_pieces) release(arrival);
      if (begun) run_post(message, stream);
      stream.end();
      if (!begun) break;
      view_.control->calls.finished.store(arrival.position, std::memory_order_release);
      reach(Point::child_finished);
      break;
    }
    case Request::drain:
      reply_count(Answer::value);
      break;
    case Request::close:
      view_.control->calls.begun.store(arrival.position, std::memory_order_release);
      end(Answer::value);
      return false;
  }
  if (!in_pieces) release(arrival);
  if (!views_.empty()) [[unlikely]]
    views_.clear();  // only now: a result may have been part of one
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

/// The end of a worker that nobody needs.
///
/// A request that comes after wait_for_request() looked for the last time is not lost: it has not
/// begun, and never will, so the parent takes it back once it has our last message. Nothing has to
/// keep the two apart, then, and a parent that publishes pays for no look at whether we leave.
void Worker::leave() {
  // A hint, for a parent that has something to send while we run our last words. For good, so that
  // it can tell how long these take.
  view_.control->child_bell.leaves.store(1, std::memory_order_relaxed);
  reach(Point::child_leaving);
  if (maker_.last_words != nullptr && !broken_) {
    const std::span bytes{&maker_.last_words, 1};
    result_.allow_attachments(false);
    if (!residence_.run(std::as_bytes(bytes), result_) && failed_posts_++ == 0)
      reply(Answer::post_failed, result_);
    result_.holds().clear();
  }
  end(Answer::retired);
  // Nobody may look at our remains for hours: until then we are neither awake nor anywhere.
  view_.control->awake.counted.store(0, std::memory_order_relaxed);
  occupancy_.sleep();
  placement_.leave();
}

/// The head of a message, once it is whole. Pieces are copied, so that they can be released before
/// the attachments come.
std::span<const std::byte> Worker::whole_head(channel::Arrival& arrival) {
  if (!arrival.in_arena()) return {arrival.inline_bytes, arrival.head.size()};
  const std::byte* bytes = receiver_.block_bytes(arrival);
  if (arrival.head.kind() == channel::Kind::block) return {bytes, arrival.block.size};
  if (gathered_.size() == 0) gathered_.reserve(arrival.block.head);
  gathered_.append(bytes, arrival.block.size);
  if (gathered_.size() == arrival.block.head) return gathered_.bytes();
  release(arrival);
  return {};
}

channel::Arrival Worker::next_piece() {
  channel::Arrival arrival;
  while (!receiver_.try_take(arrival)) (void)wait_for_request();
  return arrival;
}

void Worker::release(const channel::Arrival& arrival) noexcept {
  if (receiver_.release(arrival)) parent_bell_.ring();
}

bool Worker::begin(const channel::Arrival& arrival) {
  auto& calls = view_.control->calls;
  // Released for BlockLedger::is_done(), which takes it as word of what came before.
  calls.considered.store(arrival.position, std::memory_order_release);
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

void Worker::run_call(std::span<const std::byte> message, std::uint32_t position, Stream& stream) {
  if (broken_) {
    stream.end();
    return reply(Answer::exception, construction_error_);
  }
  result_.allow_attachments(true);
  const bool returned = residence_.run(message, result_, &stream);
  stream.end();
  auto answer = returned ? Answer::value : Answer::exception;
  if (returned && !result_.holds().empty()) [[unlikely]] {
    channel::finish_reply(result_, sender_.next_position());
    answer = Answer::value_with_blocks;
  }
  // Partner: BlockLedger::is_done(). What the call was given and kept is counted.
  view_.control->calls.finished.store(position, std::memory_order_release);
  reach(Point::child_ran);
  reply(answer, result_);
  result_.clear();  // what is attached ends now
  result_.shrink(kept_capacity);
}

void Worker::run_post(std::span<const std::byte> message, Stream& stream) {
  if (broken_) {
    if (failed_posts_++ == 0) reply(Answer::post_failed, construction_error_);
    return;
  }
  result_.allow_attachments(false);
  if (!residence_.run(message, result_, &stream) && failed_posts_++ == 0)
    reply(Answer::post_failed, result_);
  result_.holds().clear();
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
  if (bytes.size() <= channel::block_limit && bytes.attachments() == nullptr) {
    send_when_possible([&] { return sender_.try_send(tag, bytes.data(), bytes.size()); });
    return;
  }
  sender_.back_all();
  for (Pieces pieces{bytes}; !pieces.done(); pieces.pass()) {
    const auto piece = pieces.next();
    send_when_possible([&] {
      return sender_.try_send_piece(tag, piece.data(), piece.size(), pieces.whole());
    });
    reach(Point::child_piece);
  }
}

template <class Try>
void Worker::send_when_possible(Try try_send) {
  if (!try_send()) [[unlikely]] {
    channel::Patience patience{occupancy_};
    while (!try_send()) {
      if (!patience.pass()) sleep_unless([this] { return sender_.has_progress(); }, no_deadline);
    }
  }
  reach(Point::child_replied);
  parent_bell_.ring();
}

/// False once there was none for Maker::idle_limit.
bool Worker::wait_for_request() {
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
    if (patience.pass()) continue;
    const auto until = when_to_leave();
    sleep_unless([this] { return receiver_.has_message(); }, until);
    return until == no_deadline || receiver_.has_message() || Clock::now() < until;
  }
  return true;
}

/// Asked only before it sleeps, so that whoever is never idle pays nothing.
Deadline Worker::when_to_leave() {
  if (maker_.idle_limit <= std::chrono::milliseconds::zero()) return no_deadline;
  if (const auto position = receiver_.position(); position != idle_at_) {
    idle_at_ = position;
    // What it was made for is on its way, and may take long to be encoded.
    leaves_at_ = deadline_after(position == 0 ? std::max(maker_.idle_limit, before_first_request)
                                              : maker_.idle_limit);
  }
  return leaves_at_;
}

template <class Ready>
void Worker::sleep_unless(Ready ready, Deadline until) {
  auto& counted = view_.control->awake.counted;
  counted.store(0, std::memory_order_relaxed);
  occupancy_.sleep();
  placement_.leave();
  const auto ticket = own_bell_.announce();
  reach(Point::child_asleep);
  if (!ready()) {
    const auto& self = process::this_child();
    std::optional<std::chrono::nanoseconds> limit;
    if (!self.parent_watched) limit = std::chrono::seconds{1};
    const bool spare = has_spare_memory() || RefCache::of_this_process().has_files();
    if (spare) limit = idle_after;
    if (until != no_deadline) {
      const auto left = std::max<std::chrono::nanoseconds>(until - Clock::now(), {});
      limit = limit ? std::min(*limit, left) : left;
    }
    own_bell_.sleep(ticket, limit);
    if (!self.parent_watched && sys::parent_is_gone(self.parent)) sys::exit_now(0);
    if (spare && !ready()) give_back_memory();
  }
  occupancy_.wake();
  counted.store(1, std::memory_order_relaxed);
}

bool Worker::has_spare_memory() const noexcept {
  return sys::heap_end() > lean_heap_end_ + spare_heap;
}

void Worker::give_back_memory() noexcept {
  RefCache::of_this_process().forget_files();
  sys::give_back_freed_memory();
  lean_heap_end_ = sys::heap_end();
}

}  // namespace apalis::detail::actor
