// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/engine/map_run.hpp>
#include <apalis/detail/engine/run.hpp>
#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <atomic>
#include <cstring>
#include <limits>
#include <utility>

namespace apalis::detail::engine {
namespace {

constinit std::atomic<std::uint32_t> last_id{0};  // of runs; those alive at once differ

constexpr std::size_t header_at = sizeof(const wire::Entry*);
constexpr std::size_t kept_message = std::size_t{1} << 20;  // of a Batch that is used again
constexpr unsigned most_refusals = 3;  // of new workers one after the other, before that is an error

void drop_frame(void* seat, wire::Reader& arguments, wire::Buffer& /*result*/) {
  std::uint32_t run = 0;
  arguments.read(&run, sizeof run);
  static_cast<Seat*>(seat)->drop(run);
}
constexpr wire::Entry drop_entry{&drop_frame, "the end of a map"};

bool is_death(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// Of a worker that died: whether it ran anything.
bool had_begun(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied& died) {
    return !died.call().empty();
  } catch (...) {
    return true;
  }
}

std::string item_range(std::uint64_t begin, std::uint64_t end) {
  return end - begin == 1 ? fmt::format("item {}", begin)
                          : fmt::format("items {} to {}", begin, end - 1);
}

}  // namespace

// --- Batch ---------------------------------------------------------------------------------------

wire::Reader Batch::results() const {
  return wire::Reader{state->bytes().subspan(sizeof(ReplyHeader))};
}

void Batch::throw_failure(wire::Reader& behind_values) const {
  auto cause = error;
  auto from = begin();
  auto to = end();
  if (cause == nullptr) {
    from += reply.values;
    to = from + 1;
    if (wire::read_status(behind_values) != wire::CallStatus::failed) wire::throw_bad_status();
    cause = wire::read_failure(behind_values, state->source()->pid());
  } else if (!is_death(cause)) {
    throw Error(fmt::format("apalis: a worker of the engine could not begin: {}",
                            actor::describe(cause)));
  }
  throw MapError(fmt::format("apalis: {} of the map failed: {}", item_range(from, to),
                             actor::describe(cause)),
                 from, to - 1, cause);
}

void begin_message(Batch& batch, const wire::Entry& entry, const void* code) {
  batch.entry = &entry;
  batch.code = code;
  begin_message(batch.message, entry);
  (void)batch.message.grow(sizeof(BatchHeader));
}

void prepare_room(void* start, std::size_t bytes) noexcept { sys::prefer_huge_pages(start, bytes); }

// --- Run -----------------------------------------------------------------------------------------

Run::Run(Pool& pool, Pace pace, RunOptions options)
    : id_(last_id.fetch_add(1) + 1),
      pool_(pool),
      pace_(pace),
      options_(options),
      lanes_(pool.most()),
      counts_(pool.most()) {}

Run::~Run() {
  if (!pool_.is_here()) return;  // a fork's copy: the workers are the parent's
  const bool shares_memory = pool_.backend() != Backend::processes;
  try {
    for (const Batch* batch : flying_batches_)
      (void)batch->state->source()->cancel(*batch->state, actor::Source::Cancel::ask);
    if (shares_memory)  // what they use may end with the caller
      for (const Batch* batch : flying_batches_)
        (void)batch->state->source()->wait(*batch->state, actor::no_deadline);
  } catch (const std::exception& error) {
    sys::log(LogLevel::warning, fmt::format("apalis: at the end of a map: {}", error.what()));
  }
  for (auto& lane : lanes_) drop_frame_of(lane);
  for (Batch* batch : flying_batches_) leave(*batch);
}

/// To the pool, as long as its worker is at it.
void Run::leave(Batch& batch) noexcept {
  try {
    if (!batch.state->has_outcome()) return pool_.adopt(batch.lane, std::move(batch.state));
  } catch (const std::exception& error) {
    sys::log(LogLevel::warning, fmt::format("apalis: at the end of a map: {}", error.what()));
  }
  pool_.add_load(batch.lane, -1);
}

void Run::drop_frame_of(const Lane& lane) noexcept {
  if (lane.frame == nullptr || !lane.frame->has_outcome() || lane.frame->error() != nullptr) return;
  try {
    wire::Buffer message;
    begin_message(message, drop_entry);
    message.append(&id_, sizeof id_);
    lane.link->post(message);
  } catch (const WorkerDied&) {
    return;  // and its frames with it
  } catch (const std::exception& error) {
    sys::log(LogLevel::warning, fmt::format("apalis: at the end of a map: {}", error.what()));
  }
}

void Run::open_all(std::size_t most) {
  for (std::uint32_t i = 0; i < std::min<std::size_t>(most, lanes_.size()); ++i)
    if (!open_lane(i)) return;
}

Batch* Run::next(actor::Deadline deadline) {
  if (consumed_ != nullptr) {
    consumed_->message.clear();
    consumed_->message.shrink(kept_message);
    consumed_->callable.reset();
    consumed_->state.reset();
    spare_.push_back(std::move(consumed_));
  }
  for (;;) {
    if (options_.isolates) take_in();  // the engine may have been closed since
    fill();
    if (take_done()) {
      if (options_.watch != nullptr) options_.watch->advance(consumed_->count);
      return consumed_.get();
    }
    if (flying_batches_.empty()) {
      if (options_.watch != nullptr) options_.watch->finish(counts_);
      return nullptr;
    }
    if (!wait_for_some(deadline)) return nullptr;
    take_in();
  }
}

bool Run::take_done() {
  if (done_ == 0) return false;
  auto found = batches_.begin();
  if (!options_.ordered)
    found = std::ranges::find_if(batches_, [](const auto& batch) { return batch->done; });
  if (found == batches_.end() || !(*found)->done) return false;
  consumed_ = std::move(*found);
  batches_.erase(found);
  --done_;
  return true;
}

std::unique_ptr<Batch> Run::fresh() {
  if (spare_.empty()) return std::make_unique<Batch>();
  auto batch = std::move(spare_.back());
  spare_.pop_back();
  batch->skip = batch->attempts = batch->unbegun = batch->leavers = 0;
  batch->done = false;
  batch->reply = {};
  batch->error = nullptr;
  return batch;
}

// --- There ---------------------------------------------------------------------------------------

void Run::fill() {
  for (;;) {
    Batch* const again = lost_ == 0 ? nullptr : find_lost();
    if (again == nullptr) {
      if (exhausted_) return;
      if (options_.most_batches != 0 && batches_.size() >= options_.most_batches) return;
      if (const auto left = this->left(); left && *left == 0) return;  // no worker is made for that
    }
    if (pace_.is_probing() && !flying_batches_.empty() && !waited_for_first_) return;
    const auto lane = pick_lane();
    if (!lane) return;
    if (!open_lane(*lane)) continue;
    if (again != nullptr) {
      --lost_;
      launch(*again, *lane);
    } else if (!launch_next(*lane) && lost_ == 0) {
      return;
    }
  }
}

bool Run::launch_next(std::uint32_t lane) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  const auto size = std::min(pace_.next(left()), most);
  auto batch = next_batch(size, *lanes_[lane].link);
  exhausted_ = exhausted_ || batch == nullptr || batch->count < size;
  if (batch == nullptr) return false;
  batch->first = next_item_;
  next_item_ += batch->count;
  batches_.push_back(std::move(batch));
  launch(*batches_.back(), lane);
  return !exhausted_;
}

/// The worker with the least to do; one that is there rather than another one.
std::optional<std::uint32_t> Run::pick_lane() const {
  const auto depth = options_.depth != 0 ? options_.depth : pace_.depth();
  const auto useful = pace_.useful_workers(left());
  // What comes behind a batch that nobody waits for may have to wait for long.
  const bool avoids = options_.depth == 1 && has_lane_without_orphans();
  std::optional<std::uint32_t> best;
  int least = 0;
  for (std::uint32_t i = 0; i < std::min(lanes_.size(), useful); ++i) {
    if (lanes_[i].flying >= depth || lanes_[i].refused || lanes_[i].leaves) continue;
    if (avoids && pool_.orphans(i) != 0) continue;
    // Others' batches count as well: two maps at once share the workers.
    const int load = 2 * std::max(pool_.load(i), static_cast<int>(lanes_[i].flying)) +
                     (lanes_[i].link.get() != nullptr || pool_.is_open(i) ? 0 : 1);
    if (best && load >= least) continue;
    best = i;
    least = load;
  }
  return best;
}

/// False if there are no orphans at all.
bool Run::has_lane_without_orphans() const {
  if (pool_.orphans() == 0) return false;
  pool_.look_after_orphans();
  for (std::uint32_t i = 0; i < lanes_.size(); ++i)
    if (!lanes_[i].refused && pool_.orphans(i) == 0) return true;
  return false;
}

/// False if the system refused it and there are others, or if there is something new to choose from.
bool Run::open_lane(std::uint32_t index) {
  Lane& lane = lanes_[index];
  if (lane.link.get() != nullptr && lane.link->leaves()) [[unlikely]] {
    // What it had begun it has answered, and the rest comes back once it has ended.
    lane.link->poll();
    take_in();
    lane.leaves = lane.flying != 0;
    if (!lane.leaves) lane.forget_worker();
    return false;
  }
  if (lane.link.get() != nullptr && (lane.flying != 0 || pool_.has(index, lane.link))) return true;
  try {
    lane.link = pool_.link(index);
  } catch (const SystemError& error) {
    const bool others = std::ranges::any_of(
        lanes_, [](const Lane& other) { return other.link.get() != nullptr; });
    if (!others) throw;
    lane.refused = true;
    sys::log(LogLevel::warning, fmt::format("{}; the map goes on with fewer workers", error.what()));
    return false;
  }
  lane.is_set_up = false;
  counts_[index].pid = lane.link->pid();
  return true;
}

void Run::set_up(Lane& lane, const wire::Entry& entry) {
  if (lane.is_set_up) return;
  wire::Buffer message;
  if (write_frame(message)) {
    OwnedPart state{new PartState};
    state->entry = &entry;
    state->attach(*lane.link);
    lane.link->submit(message, *state);
    lane.frame = std::move(state);
  }
  lane.is_set_up = true;
}

void Run::submit(Batch& batch, Lane& lane) {
  lane.link->check_code(batch.entry);
  lane.link->check_code(batch.code);
  set_up(lane, *batch.entry);
  OwnedPart state{new PartState};
  state->entry = batch.entry;
  state->attach(*lane.link);
  lane.link->submit(batch.message, *state);
  batch.state = std::move(state);
}

void Run::launch(Batch& batch, std::uint32_t index) {
  Lane& lane = lanes_[index];
  // Perhaps while the items were fetched, which may take long.
  if (lane.link->leaves() && may_leave(batch)) [[unlikely]] {
    ++lost_;
    return;
  }
  const BatchHeader header{id_, batch.skip, batch.count, static_cast<std::uint32_t>(batch.first),
                           static_cast<std::uint32_t>(batch.first >> 32)};
  std::memcpy(batch.message.data() + header_at, &header, sizeof header);
  batch.lane = index;
  try {
    submit(batch, lane);
  } catch (const Error& error) {
    // It died, or was ended, while it had nothing to do.
    const bool gone = dynamic_cast<const WorkerDied*>(&error) != nullptr ||
                      !pool_.has(index, lane.link);
    if (!gone) return refuse(batch);
    lose_lane(index);
    if (++refusals_ > most_refusals) return refuse(batch);
    ++lost_;
    return;
  } catch (...) {
    return refuse(batch);
  }
  refusals_ = 0;
  batch.serial = ++launches_;
  flying_batches_.push_back(&batch);
  if (lane.flying++ == 0) lane.active_since = actor::Clock::now();
  pool_.add_load(index, 1);
}

/// The exception in flight is why it can't be sent.
void Run::refuse(Batch& batch) {
  if (!options_.isolates) throw;
  batch.error = std::current_exception();
  batch.done = true;
  ++done_;
}

void Run::lose_lane(std::uint32_t index) noexcept {
  Lane& lane = lanes_[index];
  if (!lane.link->has_left()) ++counts_[index].restarts;
  pool_.lose(index, lane.link);
  lane.forget_worker();
}

void Run::Lane::forget_worker() noexcept {
  link = {};
  frame.reset();
  is_set_up = leaves = false;
}

Batch* Run::find_lost() const noexcept {
  for (const auto& batch : batches_)
    if (!batch->done && batch->state == nullptr && batch->first <= last_wanted_) return batch.get();
  return nullptr;
}

// --- And back ------------------------------------------------------------------------------------

/// False if the deadline came first.
bool Run::wait_for_some(actor::Deadline deadline) {
  if (flying_batches_.size() == 1) {
    // The first batch of all may tell at once that there is little to do: no other worker is woken
    // for that.
    constexpr std::chrono::microseconds short_while{10};
    auto& state = *flying_batches_.front()->state;
    if (pace_.is_probing() && !waited_for_first_ && !exhausted_) {
      waited_for_first_ = true;
      (void)state.source()->wait(state, actor::Clock::now() + short_while);
      return true;
    }
    return state.source()->wait(state, deadline);
  }
  sources_.clear();
  for (const auto& lane : lanes_)
    if (lane.flying != 0 && lane.link.get() != nullptr) sources_.push_back(lane.link.get());
  // While the workers have the cores for long, a parent that yields would take turns with them.
  constexpr std::chrono::microseconds long_batch{100};
  return actor::drive_all(
      sources_,
      [this] {
        return std::ranges::any_of(flying_batches_, [](const Batch* batch) {
          return batch->state->has_outcome();
        });
      },
      deadline, pace_.last() > long_batch ? std::chrono::microseconds{0} : actor::usual_patience);
}

void Run::take_in() {
  // Of a worker that died, what it ran is the first of what it was sent.
  std::vector<Batch*> unfinished;
  std::erase_if(flying_batches_, [&](Batch* batch) {
    if (!batch->state->has_outcome()) return false;
    Lane& lane = lanes_[batch->lane];
    if (--lane.flying == 0) {
      counts_[batch->lane].active += actor::Clock::now() - lane.active_since;
      lane.leaves = false;
    }
    pool_.add_load(batch->lane, -1);
    if (batch->state->was_cancelled()) return true;  // by note_failure(): nobody wants it
    if (settle(*batch)) {
      batch->done = true;
      ++done_;
      if (batch->failed() && !options_.collects) note_failure(*batch);
    } else {
      unfinished.push_back(batch);
    }
    return true;
  });
  std::ranges::sort(unfinished, {}, [](const Batch* b) { return std::pair{b->lane, b->serial}; });
  for (std::size_t i = 0; i < unfinished.size(); ++i) {
    Batch& batch = *unfinished[i];
    if (i == 0 || unfinished[i - 1]->lane != batch.lane) {
      // launch() may have noticed first, and the lane have another worker by now.
      if (batch.state->source() == lanes_[batch.lane].link.get()) lose_lane(batch.lane);
      mourn(batch);
    } else {
      batch.state.reset();
      ++lost_;
    }
  }
}

/// False for a batch whose worker died.
bool Run::settle(Batch& batch) {
  const Lane& lane = lanes_[batch.lane];
  batch.error = batch.state->error();
  if (batch.error != nullptr) {
    if (is_death(batch.error)) return false;
    if (lane.frame != nullptr && lane.frame->has_outcome() && lane.frame->error() != nullptr)
      batch.error = lane.frame->error();
    return true;
  }
  try {
    wire::Reader reader{batch.state->bytes()};
    reader.read(&batch.reply, sizeof batch.reply);
    if (batch.reply.values > batch.count || batch.reply.failed > 1 ||
        (batch.reply.failed == 1 && batch.reply.values == batch.count))
      throw wire::Malformed("malformed reply: it has more results than its batch has items");
    const bool whole = batch.reply.failed == 1 || batch.reply.values == batch.count;
    if (!whole && last_wanted_ == everything)
      throw wire::Malformed("malformed reply: it has fewer results than its batch has items");
  } catch (const wire::Malformed&) {
    batch.error = std::current_exception();
    return true;
  }
  const std::chrono::nanoseconds busy{static_cast<std::chrono::nanoseconds::rep>(batch.reply.busy)};
  pace_.learn(batch.count, busy, std::max(batch.message.size(), batch.state->bytes().size()));
  auto& counts = counts_[batch.lane];
  if (options_.watch != nullptr) options_.watch->add_batch(batch.count);
  counts.items += batch.count;
  ++counts.batches;
  counts.busy += busy;
  counts.peak_memory = std::max(counts.peak_memory, batch.reply.peak_memory);
  return true;
}

/// Whether one more worker may end, being idle, instead of beginning this batch: each of those that
/// there are may and, if this thread is kept from sending, some new ones; but not all, as one might
/// that went astray.
bool Run::may_leave(Batch& batch) const noexcept {
  constexpr std::size_t most_new_leavers = 100;
  return batch.leavers++ < lanes_.size() + most_new_leavers;
}

/// A worker died while it ran this one, or before it began it.
void Run::mourn(Batch& batch) {
  const bool left = batch.state->source()->has_left() && may_leave(batch);
  if (!had_begun(batch.error) && (left || batch.unbegun++ < most_refusals)) {
    batch.error = nullptr;
    batch.state.reset();
    ++lost_;
    return;
  }
  if (options_.retries != 0 && batch.count > 1) return divide(batch);
  if (++batch.attempts <= options_.retries) {
    batch.error = nullptr;
    batch.state.reset();
    ++lost_;
    return;
  }
  batch.done = true;
  ++done_;
  if (!options_.collects) note_failure(batch);
}

/// One of its items is to blame: both halves are tried.
void Run::divide(Batch& batch) {
  auto half = fresh();
  half->entry = batch.entry;
  half->code = batch.code;
  half->callable = batch.callable;
  half->first = batch.first;
  half->message.append_all(batch.message);
  half->count = batch.count / 2;
  half->skip = batch.skip + batch.count - half->count;
  batch.count -= half->count;
  batch.error = nullptr;
  batch.state.reset();
  const auto at = std::ranges::find(batches_, &batch, &std::unique_ptr<Batch>::get);
  batches_.insert(at + 1, std::move(half));
  lost_ += 2;
}

/// Nothing behind it is wanted any more or, without order, nothing else at all.
void Run::note_failure(const Batch& batch) noexcept {
  exhausted_ = true;
  last_wanted_ = options_.ordered ? std::min(last_wanted_, batch.begin()) : 0;
  for (const Batch* other : flying_batches_) {
    if (other == &batch || (options_.ordered && other->begin() < batch.begin())) continue;
    try {
      (void)other->state->source()->cancel(*other->state, actor::Source::Cancel::ask);
    } catch (const std::exception&) {
      continue;  // it runs to its end, which nobody waits for
    }
  }
}

}  // namespace apalis::detail::engine
