// SPDX-License-Identifier: BSL-1.0
//
// Where the parts of a slice lie; and both lanes at work, between threads and between processes,
// which sleep whenever they have nothing to do.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/core/cpu_relax.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "side_by_side.hpp"
#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using namespace apalis::detail::channel;
using apalis::test::all_end;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::rounds_of;
using apalis::test::start_child;

namespace {

/// One slice, mapped twice: as two processes would see it.
class TwiceMapped {
 public:
  TwiceMapped() {
    const int fd = ::memfd_create("apalis-twice", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, slice_bytes) != 0) apalis::test::fail_with_errno("memfd");
    for (auto& base : bases_) {
      void* const start = ::mmap(nullptr, slice_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (start == MAP_FAILED) apalis::test::fail_with_errno("mmap");
      base = static_cast<std::byte*>(start);
    }
    ::close(fd);
  }
  TwiceMapped(const TwiceMapped&) = delete;
  TwiceMapped& operator=(const TwiceMapped&) = delete;
  ~TwiceMapped() {
    for (std::byte* base : bases_) ::munmap(base, slice_bytes);
  }
  [[nodiscard]] std::byte* base(std::size_t which) const { return bases_[which]; }

 private:
  std::array<std::byte*, 2> bases_{};
};

/// A stream of messages that both sides can compute: their sizes, tags and bytes.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : random_(seed) {
    for (std::byte& b : noise_) b = static_cast<std::byte>(random_());
  }

  /// The next message. Readable for pair_bytes at least.
  void advance() {
    const auto draw = random_();
    const auto kind = draw % 1024;
    if (kind == 0) {
      size_ = draw / 1024 % (block_limit + 1);
    } else if (kind < 10) {
      size_ = draw / 1024 % 8000;
    } else if (kind < 100) {
      size_ = draw / 1024 % 400;
    } else {
      size_ = draw / 1024 % (pair_bytes + 8);
    }
    tag_ = static_cast<std::uint8_t>(draw >> 56);
    start_ = (draw >> 40) % (noise_.size() - std::max(size_, pair_bytes));
  }
  [[nodiscard]] const std::byte* data() const { return noise_.data() + start_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint8_t tag() const { return tag_; }

 private:
  std::mt19937_64 random_;
  std::vector<std::byte> noise_ = std::vector<std::byte>(std::size_t{2} * block_limit);
  std::size_t size_ = 0;
  std::size_t start_ = 0;
  std::uint8_t tag_ = 0;
};

/// One side of a channel: sends a stream, takes another one in, sleeps when it can do neither.
class Side {
 public:
  Side(std::byte* base, bool is_parent, bool heavy, bool backed, std::atomic<bool>* abandoned)
      : view_(SliceView::at(base)),
        sender_(is_parent ? view_.requests : view_.replies, backed),
        receiver_(is_parent ? view_.replies : view_.requests),
        own_bell_(bell(is_parent ? view_.control->parent_bell : view_.control->child_bell, heavy)),
        peer_bell_(bell(is_parent ? view_.control->child_bell : view_.control->parent_bell, heavy)),
        out_(is_parent ? 1 : 2),
        in_(is_parent ? 2 : 1),
        pauses_(is_parent ? 3 : 4),
        abandoned_(abandoned) {}

  /// Returns `fine`, or what went wrong.
  std::string run(int messages) {
    int sent = 0;
    int taken = 0;
    out_.advance();
    Arrival arrival;
    while (sent < messages || taken < messages) {
      if (abandoned_ != nullptr && abandoned_->load()) return "abandoned";
      bool busy = false;
      while (taken < messages && receiver_.try_take(arrival)) {
        in_.advance();
        if (!is_expected(arrival)) return "message " + std::to_string(taken) + " is another one";
        if (receiver_.release(arrival)) peer_bell_.ring();
        ++taken;
        busy = true;
      }
      for (int burst = 0; burst < 16 && sent < messages; ++burst) {
        if (!sender_.try_send(out_.tag(), out_.data(), out_.size())) break;
        peer_bell_.ring();
        out_.advance();
        ++sent;
        busy = true;
      }
      if (busy) continue;
      // Sometimes at once, sometimes a little later, so that every overlap comes about.
      for (auto turns = pauses_() % 64; turns > 0; --turns) apalis::detail::cpu_relax();
      const auto ticket = own_bell_.announce();
      const bool ready = (taken < messages && receiver_.has_message()) ||
                         (sent < messages && sender_.has_progress()) ||
                         (abandoned_ != nullptr && abandoned_->load());
      if (ready) continue;
      own_bell_.sleep(ticket, std::nullopt);
      ++sleeps_;
    }
    return std::string{fine};
  }

  [[nodiscard]] int sleeps() const { return sleeps_; }
  void wake() const { own_bell_.wake(); }

 private:
  static Doorbell bell(Bell& words, bool heavy) {
    return {words.asleep, words.epoch, sys::every_bit, heavy};
  }
  bool is_expected(const Arrival& arrival) const {
    const auto size = arrival.in_arena() ? arrival.block.size : arrival.head.size();
    const std::byte* const bytes =
        arrival.in_arena() ? receiver_.block_bytes(arrival) : arrival.inline_bytes;
    return size == in_.size() && arrival.head.tag() == in_.tag() &&
           std::memcmp(bytes, in_.data(), size) == 0;
  }

  SliceView view_;
  Sender sender_;
  Receiver receiver_;
  Doorbell own_bell_;
  Doorbell peer_bell_;
  Stream out_;
  Stream in_;
  std::minstd_rand pauses_;
  std::atomic<bool>* abandoned_;
  int sleeps_ = 0;
};

bool heavy_barriers(bool wanted) {
  return wanted && sys::register_heavy_barrier();
}

bool populates() {
  const TwiceMapped memory;
  return ::madvise(memory.base(0), 4096, 23 /* MADV_POPULATE_WRITE */) == 0;
}

}  // namespace

TEST_CASE("the parts of a slice do not overlap", "[lane]") {
  const TwiceMapped memory;
  std::byte* const base = memory.base(0);
  const auto view = SliceView::at(base);
  struct Part {
    std::size_t first;
    std::size_t last;
  };
  const auto part = [&](const void* start, std::size_t size) {
    const auto first = static_cast<std::size_t>(static_cast<const std::byte*>(start) - base);
    return Part{first, first + size};
  };
  std::vector<Part> parts{part(view.control, control_bytes), part(view.requests.units, ring_bytes),
                          part(view.replies.units, ring_bytes),
                          part(view.requests.arena, arena_bytes),
                          part(view.replies.arena, arena_bytes)};
  CHECK(parts.front().first == 0);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i].first % 4096 == 0);
    CHECK(parts[i].last <= slice_bytes);
    for (std::size_t k = 0; k < i; ++k) CHECK(parts[k].last <= parts[i].first);
  }
  CHECK(view.requests.progress == &view.control->request_progress);
  CHECK(view.replies.progress == &view.control->reply_progress);
}

TEST_CASE("each position of a lap has a unit of its own", "[lane]") {
  const TwiceMapped memory;
  const auto lane = SliceView::at(memory.base(0)).requests;
  std::set<const Unit*> units;
  for (std::uint32_t position = 0; position < lane_units; ++position) {
    const Unit* const unit = &lane.unit(position);
    CHECK(unit >= lane.units);
    CHECK(unit < lane.units + lane_units);
    CHECK(units.insert(unit).second);
  }
}

TEST_CASE("a pair's units share a cache line, and positions come page by page", "[lane]") {
  const TwiceMapped memory;
  const auto lane = SliceView::at(memory.base(0)).requests;
  constexpr auto units_of_page = static_cast<std::uint32_t>(4096 / sizeof(Unit));
  for (std::uint32_t position = 0; position < lane_units; position += 2) {
    const Unit* const first = &lane.unit(position);
    CHECK(&lane.unit(position + 1) == first + 1);
    CHECK(reinterpret_cast<std::uintptr_t>(first) % cache_line == 0);
    // The sender backs pages as it reaches them.
    CHECK((first - lane.units) / units_of_page == position / units_of_page);
  }
}

TEST_CASE("positions wrap around the ring and the arena", "[lane]") {
  const TwiceMapped memory;
  const auto lane = SliceView::at(memory.base(0)).requests;
  CHECK(&lane.unit(lane_units) == &lane.unit(0));
  CHECK(&lane.unit(5 * lane_units + 77) == &lane.unit(77));
  CHECK(&lane.unit(0xffffffff) == &lane.unit(lane_units - 1));
  CHECK(lane.bytes(5) == lane.arena + 5);
  CHECK(lane.bytes(arena_bytes + 5) == lane.arena + 5);
  CHECK(lane.bytes(0xffffffff) == lane.arena + arena_bytes - 1);
}

// A sanitizer can follow the two sides only where they share a mapping; only where they do not is
// it as between processes.
TEST_CASE("two threads exchange a million messages both ways", "[lane]") {
  const bool mapped_twice = GENERATE(false, true);
  const bool heavy = heavy_barriers(GENERATE(false, true));
  CAPTURE(mapped_twice, heavy);
  const int messages = rounds_of(mapped_twice ? 1'000'000 : 200'000);
  const TwiceMapped memory;
  std::atomic<bool> abandoned{false};
  // On the heap: what one side writes must not share a line with what the other reads.
  const auto parent = std::make_unique<Side>(memory.base(0), true, heavy, true, &abandoned);
  const auto child =
      std::make_unique<Side>(memory.base(mapped_twice ? 1 : 0), false, heavy, true, &abandoned);
  std::string parent_says;
  std::string child_says;
  CHECK(all_end(
      {[&] { parent_says = parent->run(messages); }, [&] { child_says = child->run(messages); }},
      [&] {
        abandoned = true;
        parent->wake();
        child->wake();
      }));
  CHECK(parent_says == fine);
  CHECK(child_says == fine);
  CHECK(parent->sleeps() + child->sleeps() > 0);
}

TEST_CASE("two processes exchange a million messages both ways", "[lane]") {
  const bool heavy = heavy_barriers(GENERATE(false, true));
  const bool backed = !GENERATE(false, true) || !populates();
  CAPTURE(heavy, backed);
  const int messages = rounds_of(500'000);
  const TwiceMapped memory;
  if (!backed) {
    const auto view = SliceView::at(memory.base(0));
    for (auto* units : {view.requests.units, view.replies.units})
      REQUIRE(::madvise(static_cast<void*>(units), 4096, 23 /* MADV_POPULATE_WRITE */) == 0);
  }
  std::array<pid_t, 2> pids{};
  for (const bool is_parent : {true, false})
    pids[is_parent ? 0 : 1] = start_child([&] {
      Side side{memory.base(is_parent ? 0 : 1), is_parent, heavy, backed, nullptr};
      const auto says = side.run(messages);
      expect(says == fine, says);
    });
  CHECK(end_of(pids[0]) == fine);
  CHECK(end_of(pids[1]) == fine);
}
