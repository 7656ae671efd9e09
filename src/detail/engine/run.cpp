// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/detail/engine/run.hpp>
#include <apalis/detail/sys/log_line.hpp>
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

}  // namespace

// --- Run -----------------------------------------------------------------------------------------

Run::Run(Pool& pool, Pace pace, RunOptions options)
    : id_(last_id.fetch_add(1) + 1),
      pool_(pool),
      pace_(pace),
      options_(options),
      room_(pool.take_scratch()),
      lanes_(room_->lanes),
      counts_(room_->counts),
      batches_(room_->batches),
      flying_batches_(room_->flying),
      spare_(room_->spare) {
  room_->begin(pool.most());
}

Run::~Run() {
  if (!pool_.is_here()) {
    (void)room_.release();  // a fork's copy: the workers are the parent's
    return;
  }
  const bool shares_memory = !capabilities(pool_.backend()).isolates;
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
  if (consumed_ != nullptr && spare_.size() < spare_.capacity())
    spare_.push_back(std::move(consumed_));
  room_->end();
  pool_.keep_scratch(std::move(room_));
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
  now_.reset();
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
      if (options_.watch != nullptr) options_.watch->finish(counts_, room_->sizes, now());
      return nullptr;
    }
    if (!wait_for_some(deadline)) return nullptr;
    now_.reset();
    take_in();
  }
}

/// To a few microseconds: one look at the clock is enough for what happens at once.
actor::Clock::time_point Run::now() {
  if (!now_) now_ = actor::Clock::now();
  return *now_;
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
  batch->done = batch->limited = false;
  batch->reply = {};
  batch->error = nullptr;
  return batch;
}

// --- There ---------------------------------------------------------------------------------------

void Run::fill() {
  for (;;) {
    Batch* const again = lost_ == 0 ? nullptr : find_lost();
    if (again == nullptr) {
      if (is_all_sent()) {
        if (share()) continue;
        return;
      }
      if (options_.most_batches != 0 && batches_.size() >= options_.most_batches) return;
    } else if (pace_.is_probing() && again->count > 1) {
      (void)divide(*again, 1);  // it is not known for how long one runs
      ++lost_;
    }
    if (pace_.is_probing() && !flying_batches_.empty() && !waited_for_first_) return;
    const auto lane = pick_lane();
    if (!lane) return;
    if (!open_lane(*lane)) continue;
    if (again != nullptr) {
      launch(*again, *lane);
      --lost_;
    } else if (!launch_next(*lane) && lost_ == 0) {
      return;
    }
  }
}

/// No worker is made for nothing.
bool Run::is_all_sent() const {
  if (exhausted_) return true;
  const auto left = this->left();
  return left && *left == 0;
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
std::optional<std::uint32_t> Run::pick_lane() {
  const auto depth = options_.depth != 0 ? options_.depth : pace_.depth();
  const auto useful = pace_.useful_workers(to_be_sent());
  // What comes behind a batch that nobody waits for may have to wait for long.
  const bool avoids = options_.depth == 1 && has_lane_without_orphans();
  std::optional<std::uint32_t> best;
  int least = 0;
  std::size_t looked_at = 0;
  for (std::uint32_t i = 0; i < lanes_.size() && looked_at < useful; ++i) {
    if (useful < lanes_.size() && is_late(lanes_[i])) continue;
    ++looked_at;
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

/// Items, as far as their number is known.
std::optional<std::size_t> Run::to_be_sent() const {
  auto items = left();
  if (items && lost_ != 0)
    for (const auto& batch : batches_)
      if (is_lost(*batch)) *items += batch->count;
  return items;
}

/// Whether its worker is at one batch for so long that others had better not wait for that.
bool Run::is_late(const Lane& lane) {
  constexpr std::chrono::microseconds long_while{100};
  return lane.flying != 0 && now() - lane.head_since > long_while;
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
    if (!pool_.is_open(index)) now_.reset();  // to make one takes long
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
  batch.limited = false;
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
  if (lane.flying++ == 0) lane.active_since = lane.head_since = now();
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

/// Whether it is to be sent again.
bool Run::is_lost(const Batch& batch) const noexcept {
  return !batch.done && batch.state == nullptr && batch.begin() < last_wanted_;
}

Batch* Run::find_lost() const noexcept {
  for (const auto& batch : batches_)
    if (is_lost(*batch)) return batch.get();
  return nullptr;
}

// --- And back ------------------------------------------------------------------------------------

/// False if the deadline came first.
bool Run::wait_for_some(actor::Deadline deadline) {
  if (is_first_of_all()) {
    // It may tell at once that there is little to do: no other worker is woken for that.
    constexpr std::chrono::microseconds short_while{10};
    waited_for_first_ = true;
    auto& batch = *flying_batches_.front();
    if (!batch.state->source()->wait(*batch.state, now() + short_while)) {
      pace_.expect_long();
      if (batch.count > 1) (void)take_back(batch, 1);
    }
    return true;
  }
  // What was too little to be shared may turn out to take long: nobody would tell.
  const bool waits = (lost_ != 0 && find_lost() != nullptr) || long_first() != nullptr;
  const bool looks_again = (waits || may_share() || may_send()) && idle_lane();
  const auto until = looks_again ? std::min(deadline, now() + pause_) : deadline;
  if (wait_until(until)) {
    pause_ = shortest_pause;
    return true;
  }
  pause_ = std::min(2 * pause_, longest_pause);
  return looks_again && (deadline == actor::no_deadline || actor::Clock::now() < deadline);
}

/// Whether there is more, which waits for workers that seemed to be enough for it.
bool Run::may_send() const {
  return pace_.is_free() && !is_all_sent() &&
         (options_.most_batches == 0 || batches_.size() < options_.most_batches);
}

/// Whether nothing is known of the items before this one batch is back.
bool Run::is_first_of_all() const {
  return pace_.is_probing() && !waited_for_first_ && flying_batches_.size() == 1 &&
         (flying_batches_.front()->count > 1 || !is_all_sent());
}

bool Run::wait_until(actor::Deadline deadline) {
  if (flying_batches_.size() == 1) {
    auto& state = *flying_batches_.front()->state;
    return state.source()->wait(state, deadline);
  }
  auto& sources = room_->sources;
  sources.clear();
  for (const auto& lane : lanes_)
    if (lane.flying != 0 && lane.link.get() != nullptr) sources.push_back(lane.link.get());
  // While the workers have the cores for long, a parent that yields would take turns with them.
  constexpr std::chrono::microseconds long_batch{100};
  return actor::drive_all(
      sources,
      [this] {
        return std::ranges::any_of(flying_batches_, [](const Batch* batch) {
          return batch->state->has_outcome();
        });
      },
      deadline, pace_.last() > long_batch ? std::chrono::microseconds{0} : actor::usual_patience);
}

void Run::take_in() {
  auto& landed = room_->landed;
  landed.clear();
  landed.reserve(flying_batches_.size());
  std::erase_if(flying_batches_, [&](Batch* batch) {
    if (!batch->state->has_outcome()) return false;
    land(*batch);
    lanes_[batch->lane].head_since = now();
    landed.push_back(batch);
    return true;
  });
  // Of a worker that died, what it ran is the first of what it was sent.
  std::vector<Batch*> unfinished;
  for (Batch* const batch : landed) {
    if (batch->state->was_cancelled()) continue;  // by note_failure(): nobody wants it
    if (!settle(*batch)) {
      unfinished.push_back(batch);
    } else if (!batch->failed() && batch->reply.values == 0 && batch->limited) {
      forget(*batch);
    } else {
      batch->done = true;
      ++done_;
      if (batch->failed() && !options_.collects) note_failure(*batch);
    }
  }
  std::ranges::sort(unfinished, {}, [](const Batch* b) { return std::pair{b->lane, b->serial}; });
  for (std::size_t i = 0; i < unfinished.size(); ++i) {
    Batch& batch = *unfinished[i];
    if (i == 0 || unfinished[i - 1]->lane != batch.lane) {
      // launch() may have noticed first, and the lane have another worker by now.
      if (batch.state->source() == lanes_[batch.lane].link.get()) lose_lane(batch.lane);
      mourn(batch);
    } else {
      send_again(batch);
    }
  }
}

void Run::send_again(Batch& batch) noexcept {
  batch.error = nullptr;
  batch.state.reset();
  ++lost_;
}

/// It is with its worker no more.
void Run::land(const Batch& batch) {
  Lane& lane = lanes_[batch.lane];
  if (--lane.flying == 0) {
    counts_[batch.lane].active += now() - lane.active_since;
    lane.leaves = false;
  }
  pool_.add_load(batch.lane, -1);
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
    if (!whole && !batch.limited && last_wanted_ == everything)
      throw wire::Malformed("malformed reply: it has fewer results than its batch has items");
    if (!whole && batch.limited) {  // it came to the limit, and left the last item that it had claimed
      (void)divide(batch, batch.reply.values);
      ++lost_;
    }
  } catch (const wire::Malformed&) {
    batch.error = std::current_exception();
    return true;
  }
  const std::chrono::nanoseconds busy{static_cast<std::chrono::nanoseconds::rep>(batch.reply.busy)};
  pace_.learn(batch.count, busy, std::max(batch.message.size(), batch.state->bytes().size()));
  auto& counts = counts_[batch.lane];
  if (options_.watch != nullptr && batch.count != 0) room_->sizes.push_back(batch.count);
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
  const auto begun = static_cast<actor::Link*>(batch.state->source())->steps_begun(*batch.state);
  // The call that it died in may be another map's, with this one behind it.
  const bool is_unbegun = !had_begun(batch.error) || begun == 0;
  if (is_unbegun && (left || batch.unbegun++ < most_refusals)) return send_again(batch);
  // What it had not begun goes elsewhere in any case.
  if (begun < batch.count && batch.count > 1) {
    (void)divide(batch, std::max(begun, 1U));
    ++lost_;
  }
  if (options_.retries != 0 && batch.count > 1) {  // one of its items is to blame
    (void)divide(batch, batch.count - batch.count / 2);
    ++lost_;
    return send_again(batch);
  }
  if (++batch.attempts <= options_.retries) return send_again(batch);
  batch.done = true;
  ++done_;
  if (!options_.collects) note_failure(batch);
}

/// None of its items is its own any more.
void Run::forget(Batch& batch) noexcept {
  const auto at = std::ranges::find(batches_, &batch, &std::unique_ptr<Batch>::get);
  batches_.erase(at);
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
