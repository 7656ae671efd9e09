// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/channel/meeting.hpp>
#include <apalis/detail/channel/meeting_page.hpp>
#include <apalis/detail/channel/wait_policy.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <mutex>
#include <new>

namespace apalis::detail::channel {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

/// Between two looks at who has ended, and the longest sleep.
constexpr std::chrono::milliseconds look_interval{5};
constexpr std::chrono::hours no_limit{24 * 365 * 100};
constexpr std::size_t fewest_places = 60;

/// MeetingPage::state
struct State {
  std::uint64_t word = 0;

  static constexpr std::uint64_t broken_bit = std::uint64_t{1} << 31;

  static constexpr State make(std::uint32_t phase, std::uint32_t expected,
                              std::uint32_t arrived) noexcept {
    return {static_cast<std::uint64_t>(phase) << 32 | (expected & 0x7fffU) << 16 |
            (arrived & 0xffffU)};
  }
  [[nodiscard]] constexpr State broken_by(std::size_t place) const noexcept {
    return {(word & ~std::uint64_t{0xffff}) | broken_bit | (place & 0xffffU)};
  }
  [[nodiscard]] constexpr std::uint32_t phase() const noexcept {
    return static_cast<std::uint32_t>(word >> 32);
  }
  [[nodiscard]] constexpr bool is_broken() const noexcept { return (word & broken_bit) != 0; }
  [[nodiscard]] constexpr std::uint32_t expected() const noexcept { return word >> 16 & 0x7fffU; }
  [[nodiscard]] constexpr std::uint32_t arrived() const noexcept { return word & 0xffffU; }
};

/// MeetingPlace::count
struct Count {
  std::uint32_t phase = 0;
  std::uint32_t arrivals = 0;  // in it
  std::uint32_t members = 0;   // the most arrivals in a phase

  static constexpr Count of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word >> 16 & 0xffff),
            static_cast<std::uint32_t>(word & 0xffff)};
  }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(phase) << 32 | (arrivals & 0xffffU) << 16 |
           (members & 0xffffU);
  }
};

template <class Change>
void change_count(MeetingPlace& place, Change change) noexcept {
  // Relaxed: only the threads of one process write it, for later looks of their own.
  auto word = place.count.load(std::memory_order_relaxed);
  auto count = Count::of(word);
  do {
    count = Count::of(word);
    change(count);
  } while (!place.count.compare_exchange_weak(word, count.word(), std::memory_order_relaxed));
}

void note_arrival(MeetingPlace& place, std::uint32_t phase) noexcept {
  change_count(place, [phase](Count& count) {
    // Another thread of this process has arrived in the next phase already.
    if (static_cast<std::int32_t>(phase - count.phase) < 0) return;
    count.arrivals = count.phase == phase ? count.arrivals + 1 : 1;
    count.phase = phase;
    count.members = std::max(count.members, count.arrivals);
  });
}

/// Threads of one process arrive for the first time at once, and are to find one place.
constinit sys::PerProcess<std::mutex> taking_places;

State load(const MeetingPage& page) noexcept {
  return {page.state.load()};
}

}  // namespace

Meeting::Meeting(std::span<std::byte> memory) noexcept
    : page_(reinterpret_cast<MeetingPage*>(memory.data())),
      places_(reinterpret_cast<MeetingPlace*>(memory.data() + sizeof(MeetingPage))),
      count_(static_cast<std::uint32_t>(std::min(
          std::size_t{0xffff}, (memory.size() - sizeof(MeetingPage)) / sizeof(MeetingPlace)))) {}

/// Twice as many places as may be taken at once, for those that were given it in vain.
std::size_t Meeting::bytes_for(std::size_t expected) noexcept {
  return sizeof(MeetingPage) + std::max(fewest_places, 2 * expected + 1) * sizeof(MeetingPlace);
}

void Meeting::begin(std::size_t expected, int cores) noexcept {
  ::new (page_) MeetingPage{};
  for (MeetingPlace& place : places()) ::new (&place) MeetingPlace{};
  page_->cores.store(static_cast<std::uint32_t>(cores), std::memory_order_relaxed);
  page_->state.store(State::make(0, static_cast<std::uint32_t>(expected), 0).word);
}

std::size_t Meeting::expected() const noexcept {
  return load(*page_).expected();
}

bool Meeting::is_broken() const noexcept {
  return load(*page_).is_broken();
}

pid_t Meeting::lost() const noexcept {
  const auto state = load(*page_);
  if (!state.is_broken() || state.arrived() >= count_) return 0;
  return sys::pid_of(places_[state.arrived()].who.load());
}

// --- Arriving ------------------------------------------------------------------------------------

Meeting::Result Meeting::arrive(const Manner& how) const noexcept {
  MeetingPlace* const own = own_place();
  if (own == nullptr) return Result::no_places;
  auto word = page_->state.load(std::memory_order_relaxed);
  State seen;
  bool completes = false;
  for (State next;;) {
    seen = {word};
    if (seen.is_broken()) return Result::broken;
    if (seen.expected() == 0) return Result::deserted;
    completes = seen.arrived() + 1 >= seen.expected();
    if (!completes && !how.may_wait && !how.for_good) return Result::refused;
    const auto expected = how.for_good ? seen.expected() - 1 : seen.expected();
    next = completes ? State::make(seen.phase() + 1, expected, 0)
                     : State::make(seen.phase(), expected, seen.arrived() + (how.for_good ? 0 : 1));
    // All that this process wrote before is seen by those who see this, and the other way round.
    if (page_->state.compare_exchange_weak(word, next.word)) break;
  }
  if (completes) wake();
  if (how.for_good) {
    leave_for_good(*own);
  } else {
    note_arrival(*own, seen.phase());
  }
  if (completes || how.for_good) return Result::complete;
  return wait(seen.phase(), seen.expected(), *own, how.limit);
}

Meeting::Result Meeting::wait(std::uint32_t phase, std::size_t expected, MeetingPlace& own,
                              nanoseconds limit) const noexcept {
  const bool limited = limit < no_limit;
  const auto end = limited ? Clock::now() + limit : Clock::time_point::max();
  // Those who are expected and alone on their cores are worth spinning for.
  std::atomic<std::int32_t> others{static_cast<std::int32_t>(expected) - 1};
  Patience patience{Occupancy{
      others, static_cast<int>(page_->cores.load(std::memory_order_relaxed) & 0xffffU), 0}};
  bool sleeps = false;
  for (;;) {
    // Partner: the exchange in arrive() that completes the phase.
    const State now{page_->state.load(std::memory_order_acquire)};
    if (now.phase() != phase) return Result::complete;
    if (now.is_broken()) return Result::broken;
    const auto left = limited ? end - Clock::now() : nanoseconds{no_limit};
    if (left <= nanoseconds::zero()) {
      if (withdraw(phase, own)) return Result::late;
      continue;
    }
    if (!sleeps && patience.pass()) continue;
    sleeps = true;
    sleep(phase, left);
    look_around(phase);
  }
}

/// False if the phase ended meanwhile.
bool Meeting::withdraw(std::uint32_t phase, MeetingPlace& own) const noexcept {
  auto word = page_->state.load(std::memory_order_relaxed);
  for (;;) {
    const State seen{word};
    if (seen.phase() != phase || seen.is_broken()) return false;
    const auto arrived = seen.arrived() == 0 ? 0 : seen.arrived() - 1;
    const auto next = State::make(phase, seen.expected(), arrived);
    if (page_->state.compare_exchange_weak(word, next.word)) break;
  }
  change_count(own, [phase](Count& count) {
    if (count.phase == phase && count.arrivals > 0) --count.arrivals;
  });
  return true;
}

void Meeting::sleep(std::uint32_t phase, nanoseconds limit) const noexcept {
  page_->sleepers.fetch_add(1);
  const auto turn = page_->turn.load();
  // Partner: wake(), whose caller has changed the state before it looks for sleepers.
  const auto now = load(*page_);
  if (now.phase() == phase && !now.is_broken())
    sys::futex_wait(page_->turn, turn, std::min<nanoseconds>(limit, look_interval));
  page_->sleepers.fetch_sub(1);
}

void Meeting::wake() const noexcept {
  if (page_->sleepers.load() == 0) return;
  page_->turn.fetch_add(1);
  sys::futex_wake_all(page_->turn);
}

/// One of those who wait does this for all.
void Meeting::look_around(std::uint32_t phase) const noexcept {
  const auto now = nanoseconds{Clock::now().time_since_epoch()}.count();
  auto last = page_->looked_at.load(std::memory_order_relaxed);
  if (last <= now && now - last < nanoseconds{look_interval}.count()) return;
  if (!page_->looked_at.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
  const auto own = sys::own_incarnation();
  for (std::size_t i = 0; i < count_; ++i) {
    auto& who = places_[i].who;
    const auto seen = who.load();
    if (seen == 0 || seen == own || !sys::has_ended(seen)) continue;
    if (who.load() != seen) continue;  // it had taken its leave
    auto word = page_->state.load();
    // Not the next phase: whoever ended after the last one that it was needed for may be replaced.
    while (State{word}.phase() == phase && !State{word}.is_broken()) {
      if (!page_->state.compare_exchange_weak(word, State{word}.broken_by(i).word)) continue;
      wake();
      break;
    }
    return;
  }
}

// --- Places --------------------------------------------------------------------------------------

std::span<MeetingPlace> Meeting::places() const noexcept { return {places_, count_}; }

MeetingPlace* Meeting::find(sys::Incarnation who) const noexcept {
  const auto found = std::ranges::find_if(
      places(), [who](const MeetingPlace& place) { return place.who.load() == who; });
  return found == places().end() ? nullptr : &*found;
}

MeetingPlace* Meeting::take_place(sys::Incarnation who) const noexcept {
  if (MeetingPlace* const there = find(who)) return there;
  for (MeetingPlace& place : places()) {
    sys::Incarnation nobody = 0;
    if (place.who.load() != 0 || !place.who.compare_exchange_strong(nobody, who)) continue;
    return &place;
  }
  return nullptr;
}

MeetingPlace* Meeting::own_place() const noexcept {
  const auto own = sys::own_incarnation();
  const auto hint = hint_.load(std::memory_order_relaxed);
  if (hint < count_ && places_[hint].who.load(std::memory_order_relaxed) == own) [[likely]]
    return &places_[hint];
  const std::lock_guard lock{taking_places.get()};
  MeetingPlace* const place = take_place(own);
  if (place != nullptr)
    hint_.store(static_cast<std::uint32_t>(place - places_), std::memory_order_relaxed);
  return place;
}

/// Others of this process may go on.
void Meeting::leave_for_good(MeetingPlace& own) const noexcept {
  std::uint32_t left = 0;
  change_count(own, [&left](Count& count) {
    left = count.members > 0 ? count.members - 1 : 0;
    count.members = left;
  });
  if (left == 0) part(sys::pid_of(sys::own_incarnation()));
}

void Meeting::invite(sys::Incarnation who) const noexcept {
  (void)take_place(who);
}

void Meeting::excuse(sys::Incarnation who) const noexcept {
  for (MeetingPlace& place : places()) {
    if (place.who.load() != who || Count::of(place.count.load()).members != 0) continue;
    auto gone = who;
    (void)place.who.compare_exchange_strong(gone, 0);
  }
}

void Meeting::part(pid_t who) const noexcept {
  if (is_broken()) return;  // its pid is asked for
  for (MeetingPlace& place : places()) {
    auto there = place.who.load();
    if (sys::pid_of(there) != who) continue;
    place.count.store(0);
    (void)place.who.compare_exchange_strong(there, 0);
  }
}

void Meeting::lose(pid_t who) const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (sys::pid_of(places_[i].who.load()) != who) continue;
    auto word = page_->state.load();
    do {
      if (State{word}.is_broken()) return;
    } while (!page_->state.compare_exchange_weak(word, State{word}.broken_by(i).word));
    return wake();
  }
}

}  // namespace apalis::detail::channel
