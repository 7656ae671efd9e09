// SPDX-License-Identifier: BSL-1.0
//
// What a doorbell promises: whoever announces itself, looks, and then sleeps, is woken by whatever
// is published later, however the steps of the two sides fall together.
#include <apalis/detail/channel/doorbell.hpp>
#include <apalis/detail/core/cpu_relax.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "side_by_side.hpp"
#include "support/catch.hpp"

namespace sys = apalis::detail::sys;
using apalis::detail::channel::Bell;
using apalis::detail::channel::Doorbell;
using apalis::test::all_end;
using apalis::test::rounds_of;
using namespace std::chrono_literals;

namespace {

/// Both kinds of ordering, the second where the kernel has it.
bool with_and_without_heavy_barriers() {
  const bool heavy = GENERATE(false, true);
  CAPTURE(heavy);
  return heavy && sys::register_heavy_barrier();
}

struct Words : Bell {
  Words() : Bell{} {}
  [[nodiscard]] Doorbell bell(bool heavy, std::uint32_t bits = sys::every_bit) {
    return {asleep, epoch, bits, heavy};
  }
};

void relax(std::uint64_t turns) {
  for (; turns > 0; --turns) apalis::detail::cpu_relax();
}

/// Lets two threads go on at the same moment.
class Start {
 public:
  void wait() {
    const auto mine = arrived_.fetch_add(1) / 2;  // the round
    for (int turns = 0; arrived_.load() < 2 * (mine + 1); ++turns) {
      if (turns < 1000) {
        apalis::detail::cpu_relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  alignas(128) std::atomic<std::uint32_t> arrived_{0};
};

}  // namespace

TEST_CASE("ringing where nobody sleeps does nothing", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  Words words;
  const auto bell = words.bell(heavy);
  for (int i = 0; i < 100; ++i) bell.ring();
  CHECK(words.epoch == 0);
  CHECK(words.asleep == 0);
}

TEST_CASE("a ring after the announcement prevents the sleep", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  Words words;
  const auto bell = words.bell(heavy);
  const auto ticket = bell.announce();
  CHECK(words.asleep == 1);
  bell.ring();
  CHECK(words.epoch != ticket);
  CHECK(words.asleep == 0);
  bell.sleep(ticket, std::nullopt);  // returns at once
  bell.sleep(ticket, 1h);
  bell.ring();
  CHECK(words.epoch == ticket + 1);  // nobody is announced any more
}

TEST_CASE("wake wakes without an announcement", "[doorbell]") {
  Words words;
  const auto bell = words.bell(false);
  const auto ticket = bell.ticket();
  bell.wake();
  bell.sleep(ticket, std::nullopt);
  CHECK(bell.ticket() == ticket + 1);
}

TEST_CASE("a sleep ends at its limit", "[doorbell]") {
  Words words;
  const auto bell = words.bell(false);
  const auto ticket = bell.announce();
  const auto start = std::chrono::steady_clock::now();
  const auto until = start + 10ms;
  while (std::chrono::steady_clock::now() < until)
    bell.sleep(ticket, until - std::chrono::steady_clock::now());
  CHECK(std::chrono::steady_clock::now() - start < 30s);
}

// The same without the sleep, so that the steps meet within nanoseconds: the sleeper must see what
// was published, or the ringer must see the sleeper.
TEST_CASE("of a sleeper and a ringer at least one sees the other", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  CAPTURE(heavy);
  const auto rounds = static_cast<std::uint32_t>(rounds_of(heavy ? 40'000 : 100'000));
  Words words;
  const auto bell = words.bell(heavy);
  alignas(128) std::atomic<std::uint32_t> published{0};
  Start start;
  Start end;
  int lost = 0;
  std::thread ringer([&] {
    std::mt19937 random{1};
    for (std::uint32_t round = 1; round <= rounds; ++round) {
      start.wait();
      relax(random() % (heavy && round % 2 == 0 ? 100 : 8));  // a barrier takes its time
      published.store(round, std::memory_order_release);
      bell.ring();
      end.wait();
    }
  });
  std::mt19937 random{2};
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    words.asleep = 0;
    start.wait();
    relax(random() % 8);
    const auto ticket = bell.announce();
    const bool seen = published.load(std::memory_order_acquire) == round;
    end.wait();
    if (!seen && words.epoch == ticket) ++lost;
  }
  ringer.join();
  CHECK(lost == 0);
}

// Two threads hand a number to and fro and sleep as soon as there is nothing to do, so that every
// round is a chance to lose a wake-up. Small pauses shift the steps against each other.
TEST_CASE("no wake-up is lost between two threads", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  const auto pauses = GENERATE(0U, 20U, 300U);
  CAPTURE(heavy, pauses);
  const auto rounds = static_cast<std::uint32_t>(rounds_of(50'000));
  struct alignas(128) Number {
    std::atomic<std::uint32_t> value{0};
  };
  std::array<Number, 2> published;
  std::array<Words, 2> words;
  std::atomic<bool> abandoned{false};
  std::atomic<std::uint64_t> sleeps{0};

  const auto play = [&](std::size_t self) {
    const std::size_t other = 1 - self;
    const auto own_bell = words[self].bell(heavy);
    const auto peer_bell = words[other].bell(heavy);
    std::mt19937 random{static_cast<unsigned>(self)};
    std::uint64_t slept = 0;
    const auto is_there = [&](std::uint32_t round) {
      return published[other].value.load(std::memory_order_acquire) >= round || abandoned.load();
    };
    for (std::uint32_t round = 1; round <= rounds && !abandoned.load(); ++round) {
      if (self == 0) {
        if (pauses != 0) relax(random() % pauses);
        published[self].value.store(round, std::memory_order_release);
        peer_bell.ring();
      }
      if (pauses != 0) relax(random() % pauses);
      while (!is_there(round)) {
        const auto ticket = own_bell.announce();
        if (is_there(round)) break;
        own_bell.sleep(ticket, std::nullopt);
        ++slept;
      }
      if (self == 1) {
        if (pauses != 0) relax(random() % pauses);
        published[self].value.store(round, std::memory_order_release);
        peer_bell.ring();
      }
    }
    sleeps += slept;
  };
  CHECK(all_end({[&] { play(0); }, [&] { play(1); }}, [&] {
    abandoned = true;
    for (auto& word : words) word.bell(heavy).wake();
  }));
  CHECK(published[1].value == rounds);
  CHECK(sleeps > 0);
}

TEST_CASE("no wake-up is lost with several sleepers and ringers", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  CAPTURE(heavy);
  constexpr std::uint32_t ringers = 2;
  const auto each = static_cast<std::uint32_t>(rounds_of(20'000));
  Words words;
  std::atomic<std::uint32_t> published{0};
  std::atomic<std::uint32_t> consumed{0};  // the slowest one's, roughly: keeps the ringers busy
  std::atomic<bool> abandoned{false};
  const auto bell = words.bell(heavy);

  const auto ring = [&] {
    for (std::uint32_t i = 0; i < each && !abandoned.load(); ++i) {
      published.fetch_add(1, std::memory_order_release);
      bell.ring();
      if (i % 16 == 0) relax(400);
    }
  };
  const auto listen = [&] {
    for (std::uint32_t seen = 0; seen < ringers * each && !abandoned.load();) {
      const auto now = published.load(std::memory_order_acquire);
      if (now != seen) {
        seen = now;
        consumed.store(seen, std::memory_order_relaxed);
        continue;
      }
      const auto ticket = bell.announce();
      if (published.load(std::memory_order_acquire) == seen && !abandoned.load())
        bell.sleep(ticket, std::nullopt);
    }
  };
  CHECK(all_end({listen, listen, listen, ring, ring}, [&] {
    abandoned = true;
    bell.wake();
  }));
  CHECK(published == ringers * each);
  CHECK(consumed == ringers * each);
}

// As a thread that waits for calls on several links: bells of their own, one epoch.
TEST_CASE("one sleeper on several bells of one epoch", "[doorbell]") {
  const bool heavy = with_and_without_heavy_barriers();
  CAPTURE(heavy);
  constexpr std::size_t bells = 3;
  const auto each = static_cast<std::uint32_t>(rounds_of(20'000));
  std::atomic<std::uint32_t> epoch{0};
  struct alignas(128) Source {
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<std::uint32_t> published{0};
  };
  std::array<Source, bells> sources;
  std::atomic<bool> abandoned{false};
  std::vector<Doorbell> doorbells;
  for (std::uint32_t i = 0; i < bells; ++i)
    doorbells.emplace_back(sources[i].asleep, epoch, std::uint32_t{1} << i, heavy);

  const auto total = [&] {
    std::uint32_t sum = 0;
    for (const auto& source : sources) sum += source.published.load(std::memory_order_acquire);
    return sum;
  };
  const auto ring = [&](std::size_t i) {
    for (std::uint32_t k = 0; k < each && !abandoned.load(); ++k) {
      sources[i].published.fetch_add(1, std::memory_order_release);
      doorbells[i].ring();
      if (k % 8 == 0) relax(200);
    }
  };
  const auto listen = [&] {
    for (std::uint32_t seen = 0; seen < bells * each && !abandoned.load();) {
      if (const auto now = total(); now != seen) {
        seen = now;
        continue;
      }
      const auto ticket = doorbells[0].ticket();
      std::uint32_t bits = 0;
      for (const auto& bell : doorbells) {
        bell.mark();
        bits |= bell.bits();
      }
      doorbells[0].order();
      if (total() == seen && !abandoned.load()) doorbells[0].sleep(ticket, std::nullopt, bits);
    }
  };
  CHECK(all_end({listen, [&] { ring(0); }, [&] { ring(1); }, [&] { ring(2); }}, [&] {
    abandoned = true;
    for (const auto& bell : doorbells) bell.wake();
  }));
  CHECK(total() == bells * each);
}
