// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/engine/run.hpp>
#include <utility>

// What one worker has not begun, and another one may. The rest of a run: run.cpp.

namespace apalis::detail::engine {

/// All is sent, and a worker has nothing to do: it shall have some of what another one did not
/// begin. False if there is little of that.
bool Run::share() {
  constexpr std::chrono::microseconds worth_waking{50};
  constexpr std::chrono::milliseconds worth_making{5};
  if (Batch* const first = long_first()) return take_back(*first, 1) != nullptr;
  if (!may_share()) return false;
  const auto idle = idle_lane();
  if (!idle) return false;
  std::chrono::nanoseconds longest =
      pool_.is_open(*idle) ? std::chrono::nanoseconds{worth_waking} : worth_making;
  Batch* found = nullptr;
  std::uint32_t keep = 0;
  ++looks_;
  for (Batch* const batch : flying_batches_) {
    const bool is_first = std::exchange(lanes_[batch->lane].looked_at, looks_) != looks_;
    const auto [rest, half] = rest_of(*batch, is_first);
    if (rest <= longest) continue;
    longest = rest;
    found = batch;
    keep = half;
  }
  if (found == nullptr) return false;
  Batch* const taken = keep == 0 ? take_back(*found) : take_back(*found, keep);
  if (taken == nullptr) return false;
  if (open_lane(*idle)) {
    launch(*taken, *idle);
    --lost_;
  }
  return true;
}

/// A batch of several items that was sent before anything was known of them, and takes long. (It
/// could not be limited at once if another call of its worker was.)
Batch* Run::long_first() const {
  if (!pace_.is_probing() || !waited_for_first_ || last_wanted_ != everything) return nullptr;
  const auto at = std::ranges::find_if(
      flying_batches_, [](const Batch* batch) { return batch->count > 1 && !batch->limited; });
  return at != flying_batches_.end() ? *at : nullptr;
}

/// Whether some worker may have more than it can begin at once, and all of it is wanted.
bool Run::may_share() const {
  if (!pace_.is_free() || pace_.is_probing() || last_wanted_ != everything) return false;
  if (!is_all_sent()) return false;
  return std::ranges::any_of(flying_batches_, [&](const Batch* batch) {
    return batch->count > 1 || lanes_[batch->lane].flying > 1;
  });
}

/// One with nothing to do, rather one that is there.
std::optional<std::uint32_t> Run::idle_lane() const {
  std::optional<std::uint32_t> found;
  for (std::uint32_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].flying != 0 || lanes_[i].refused || pool_.load(i) != 0) continue;
    if (pool_.is_open(i)) return i;
    if (!found) found = i;
  }
  return found;
}

/// How long it will be before the batch is done, by what is known now; and how many items leave its
/// worker half of what it has not begun, 0 where that is all of it. `is_first`: of its worker's.
Run::Rest Run::rest_of(const Batch& batch, bool is_first) {
  const auto& lane = lanes_[batch.lane];
  const std::chrono::nanoseconds elapsed = now() - lane.head_since;
  const auto begun = is_first ? lane.link->steps_begun(*batch.state) : 0;
  if (begun >= batch.count) return {};
  const auto rest = batch.count - begun;
  const auto expected = pace_.expected(rest);
  if (begun > 0) return {std::max(expected, elapsed / begun * rest), begun + rest / 2};
  // What its worker is at may take as long again as it has until now.
  if (!is_first) return {expected + elapsed, 0};
  // Its worker wakes, and another one would have to wake as well; unless it is kept from that.
  constexpr std::chrono::milliseconds long_sleep{10};
  if (elapsed < long_sleep && rest == 1) return {};
  return {expected + elapsed, elapsed < long_sleep ? rest / 2 : 0};
}

/// All of it, to be sent again, if its worker has not begun it; else null.
Batch* Run::take_back(Batch& batch) {
  if (!batch.state->source()->cancel(*batch.state, actor::Source::Cancel::if_not_begun))
    return nullptr;
  std::erase(flying_batches_, &batch);
  land(batch);
  send_again(batch);
  return &batch;
}

/// What is beyond `most` of its items and has not begun becomes a batch of its own, to be sent
/// again. Null if there is nothing of the kind.
Batch* Run::take_back(Batch& batch, std::uint32_t most) {
  const auto begun = lanes_[batch.lane].link->limit_steps(*batch.state, most);
  if (!begun) return nullptr;
  batch.limited = true;
  const auto keep = std::max(*begun, most);
  if (keep >= batch.count) return nullptr;
  auto& rest = divide(batch, keep);
  ++lost_;
  return &rest;
}

/// Its items behind the first `keep` become another batch, next to it.
Batch& Run::divide(Batch& batch, std::uint32_t keep) {
  auto rest = fresh();
  rest->entry = batch.entry;
  rest->code = batch.code;
  rest->callable = batch.callable;
  rest->first = batch.first;
  rest->message.append_all(batch.message);
  rest->skip = batch.skip + keep;
  rest->count = batch.count - keep;
  const auto at = std::ranges::find(batches_, &batch, &std::unique_ptr<Batch>::get);
  auto& made = **batches_.insert(at + 1, std::move(rest));
  batch.count = keep;
  return made;
}

}  // namespace apalis::detail::engine
