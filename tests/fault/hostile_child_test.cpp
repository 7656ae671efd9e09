// SPDX-License-Identifier: BSL-1.0
// A worker that writes anything anywhere in the memory that it shares with its parent: whatever it is,
// the parent comes to a result or an error, in bounded time, and leaves no child behind.
#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;
using namespace std::chrono_literals;
namespace channel = apalis::detail::channel;

namespace {

using Random = std::mt19937_64;

struct Range {
  std::byte* begin = nullptr;
  std::size_t size = 0;
};

/// What this process shares and may write: its slice and the region's header.
std::vector<Range> shared_memory() {
  std::vector<Range> ranges;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("rw-s") == std::string::npos || line.find("memfd:") == std::string::npos)
      continue;
    std::istringstream in(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    in >> std::hex >> begin >> dash >> end;
    ranges.push_back({reinterpret_cast<std::byte*>(begin), end - begin});
  }
  return ranges;
}

std::uint64_t a_number(Random& random) {
  switch (random() % 4) {
    case 0:
      return random() % 4096;
    case 1:
      return ~std::uint64_t{0} - random() % 64;
    case 2:
      return std::uint64_t{1} << random() % 64;
    default:
      return random();
  }
}

/// Most of what matters lies at the start of a range: progress, bells, rings.
void scribble_on(const std::vector<Range>& ranges, Random& random) {
  const Range& range = ranges[random() % ranges.size()];
  constexpr std::size_t places[] = {4096, 16'384, 135'168};
  const std::size_t span = std::min(range.size, places[random() % 3]);
  const std::size_t at = random() % (span / 8) * 8;
  const std::uint64_t number = a_number(random);
  const bool whole = random() % 2 == 0;
  std::memcpy(range.begin + at, &number, whole ? 8 : 4);
}

struct Hostile {
  std::vector<Range> ranges = shared_memory();

  int scribble(std::uint64_t seed, int times) {
    Random random{seed};
    for (; times > 0; --times) scribble_on(ranges, random);
    return 1;
  }
  /// Never stops.
  int scribble_from_now_on(std::uint64_t seed) {
    std::thread([this, seed] {
      Random random{seed};
      for (;;) scribble_on(ranges, random);
    }).detach();
    return static_cast<int>(ranges.size());
  }
  /// Tells of failed posts, in good form, for ever.
  int flood() {
    const Range& last = ranges.back();  // of what is not hidden, its slice
    const auto view = channel::SliceView::at(last.begin + last.size - channel::slice_bytes);
    constexpr auto tag = static_cast<std::uint8_t>(apalis::detail::actor::Answer::post_failed);
    for (std::uint32_t position = 0;; ++position) {
      const auto head = channel::Head::make(position, channel::Kind::single, tag, 0);
      view.replies.unit(position).head.store(head.word);
      while (position + 1 - static_cast<std::uint32_t>(view.replies.progress->word.load()) >=
             channel::lane_units) {
      }
    }
  }
  std::string text(int n) { return std::string(static_cast<std::size_t>(n), 't'); }
  std::map<int, std::vector<std::string>> words() { return {{1, {"a", "b"}}, {2, {}}}; }
  std::vector<double> numbers(int n) { return std::vector<double>(static_cast<std::size_t>(n)); }
  void note(int) {}
};

/// What a call came to; false if that is to be waited for still.
template <class R>
bool is_settled(Token<R>& token) {
  try {
    if (!token.wait_for(20ms)) return false;
    (void)token.get();
  } catch (const std::exception&) {
    // An Error, or, as far as anyone can tell, what the method threw.
    return true;
  }
  return true;
}

template <class R>
void end_with(Token<R>&& token, Handler<Hostile>& h) {
  if (is_settled(token)) return;
  // It may have lost the call: only the caller knows for how long to wait.
  h.kill();
  REQUIRE(is_settled(token));
}

/// Calls of all sizes, whatever becomes of them. Throws what the handler's own functions throw.
void use(Handler<Hostile>& h, Random& random) {
  for (int i = 0; i < 8; ++i) {
    switch (random() % 5) {
      case 0:
        end_with(h.call(&Hostile::text, static_cast<int>(random() % 200)), h);
        break;
      case 1:
        end_with(h.call(&Hostile::words), h);
        break;
      case 2:
        end_with(h.call(&Hostile::numbers, static_cast<int>(random() % 20'000)), h);
        break;
      case 3:
        h.post(&Hostile::note, 1);
        break;
      default:
        end_with(h.call(&Hostile::scribble, random(), static_cast<int>(random() % 300)), h);
    }
  }
}

apalis::Options quick() {
  apalis::Options options;
  options.name = "hostile";
  options.close_timeout = 50ms;
  options.on_error = [](const std::exception_ptr&) {};  // it is expected to have much to say
  // The test framework's handlers came along by fork: they must not report in the child.
  options.on_worker_start = [] {
    for (const int signal : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTERM})
      ::signal(signal, SIG_DFL);
  };
  return options;
}

/// Fails the test if the handler's end, or what is before, takes long.
template <class Body>
void in_bounded_time(Body body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(patience_ms));
}

}  // namespace

TEST_CASE("a worker that scribbles over its shared memory does its parent no harm",
          "[hostile_child]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    in_bounded_time([seed] {
      Random random{seed};
      Handler<Hostile> h{quick(), std::in_place};
      try {
        use(h, random);
      } catch (const apalis::Error&) {
        // The worker was found out while a call was made.
      }
    });
  }
}

TEST_CASE("a worker that never stops scribbling does its parent no harm", "[hostile_child]") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    in_bounded_time([seed] {
      Random random{seed};
      Handler<Hostile> h{quick(), std::in_place};
      try {
        end_with(h.call(&Hostile::scribble_from_now_on, seed), h);
        use(h, random);
      } catch (const apalis::Error&) {
        // The worker was found out while a call was made.
      }
    });
  }
}

TEST_CASE("a worker that never stops talking keeps no bounded wait", "[hostile_child]") {
  in_bounded_time([] {
    Handler<Hostile> h{quick(), std::in_place};
    auto token = h.call(&Hostile::flood);
    for (int i = 0; i < 5; ++i) CHECK_FALSE(token.wait_for(20ms));
    CHECK_FALSE(token.ready());
  });
}

TEST_CASE("a hostile worker is found among others that work on", "[hostile_child]") {
  Handler<Hostile> good;
  Handler<Hostile> bad{quick(), std::in_place};
  auto mapped = bad.call(&Hostile::scribble_from_now_on, 1);
  end_with(std::move(mapped), bad);  // with a reply, unless what it wrote came before that
  for (int i = 0; i < 200; ++i)
    CHECK(good.call(&Hostile::text, i).get() == std::string(static_cast<std::size_t>(i), 't'));
  bad.kill();
  CHECK(good.call(&Hostile::words).get().size() == 2);
}
