// SPDX-License-Identifier: BSL-1.0
// Arrays whose holders die, are replaced, lie, or were forked behind the library's back: the memory
// goes back, and nobody sees what is not theirs.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <apalis/detail/channel/block_table.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <apalis/shared_array.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"
#include "support/shared_bytes.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

using apalis::Handler;
using apalis::Options;
using apalis::SharedArray;
using apalis::WorkerDied;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Refusing;
using apalis::test::shared_bytes;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
namespace channel = apalis::detail::channel;
namespace sys = apalis::detail::sys;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;
constexpr std::size_t big = 16 * megabyte;

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

std::optional<SharedArray<int>> everybodys;  // a worker has what there was at its birth

std::optional<apalis::Ref<int>> everybodys_number;
std::optional<apalis::Barrier> everybodys_barrier;

struct Keeper {
  SharedArray<char> kept;
  Keeper() = default;
  explicit Keeper(SharedArray<char> array) : kept(std::move(array)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kept);
  }

  void keep(const SharedArray<char>& array) { kept = array; }
  char get(std::size_t i) { return kept.at(i); }
  void drop() { kept = {}; }
  int sum(std::span<const char> xs) {
    int total = 0;
    for (const char x : xs) total += x;
    return total;
  }
  int first_of(const SharedArray<char>& xs) { return xs.at(0); }
  void die_with(const SharedArray<char>& /*array*/) { die(); }
  void die_now() { die(); }
  void die_in_first(std::span<char> xs) {
    if (apalis::this_worker().generation() == 0) die();
    xs[0] = 'x';
  }
  SharedArray<char> give() { return kept; }
  int pid() const { return static_cast<int>(::getpid()); }
  int read_everybodys() { return SharedArray<int>(*everybodys).at(1); }
  int at_everybodys() { return everybodys->at(1); }
  int everybodys_value() { return everybodys_number->get(); }
  std::size_t everybodys_participants() { return everybodys_barrier->participants(); }
  void write_words(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto& birth = *channel::BlockTable::own_birth();
    for (std::uint32_t i = 0; i < 400; ++i) {
      birth.region->held(birth.slice, i).count = static_cast<std::uint32_t>(random() % 3);
      birth.region->held(birth.slice, i).in_reply = static_cast<std::uint32_t>(random());
      birth.region->inherited(birth.slice, i) = static_cast<std::uint8_t>(random() % 2);
      birth.region->generation(i) = static_cast<std::uint32_t>(random());
    }
  }
};

Options restarting() {
  return {.restart = {.max = 5, .backoff = 1ms}};
}

template <class R>
void check_died(apalis::Token<R> token) {
  REQUIRE(token.wait_for(60s));
  CHECK_THROWS_AS(token.get(), WorkerDied);
}

void check_returned(std::size_t before) {
  CHECK(shared_bytes() < before + megabyte);
}

void settle(Handler<Keeper>& h) {
  h.call(&Keeper::pid).get();
}

}  // namespace

TEST_CASE("the memory of an array comes back when the worker that holds it is killed",
          "[shared_array]") {
  const auto before = shared_bytes();
  Handler<Keeper> h;
  h.call(&Keeper::keep, SharedArray<char>(big, 1)).get();
  CHECK(shared_bytes() >= before + big);
  SECTION("by the kernel") {
    const pid_t worker = h.pid();
    ::kill(worker, SIGKILL);
    CHECK_THROWS_AS(h.call(&Keeper::pid).get(), WorkerDied);
  }
  SECTION("by its handler") {
    h.kill();
  }
  SECTION("in a call with another one") {
    check_died(h.call(&Keeper::die_with, SharedArray<char>(big, 2)));
  }
  check_returned(before);
}

TEST_CASE("the memory of an array comes back when its calls were never run", "[shared_array]") {
  const auto before = shared_bytes();
  {
    Handler<Keeper> h;
    SECTION("as the worker died") {
      std::vector<apalis::Token<int>> tokens;
      h.post(&Keeper::die_now);
      for (int i = 0; i < 10; ++i)
        tokens.push_back(h.call(&Keeper::first_of, SharedArray<char>(megabyte, 1)));
      for (auto& token : tokens) CHECK_THROWS_AS(token.get(), WorkerDied);
    }
    SECTION("as they were cancelled") {
      ::kill(h.pid(), SIGSTOP);
      auto token = h.call(&Keeper::first_of, SharedArray<char>(big, 1));
      CHECK(shared_bytes() >= before + big);
      CHECK(token.cancel());
      ::kill(h.pid(), SIGCONT);
      settle(h);
      settle(h);
    }
    SECTION("as they were never sent") {
      (void)h.prepare(&Keeper::sum, SharedArray<char>(big, 1));
    }
    check_returned(before);
  }
}

TEST_CASE("arrays of calls that are tried again are there", "[shared_array]") {
  const auto before = shared_bytes();
  {
    Handler<Keeper> h{restarting(), std::in_place};
    settle(h);
    const SharedArray<char> a(100);
    auto again = h.call({.retries = 1}, &Keeper::die_in_first, a);
    std::vector<apalis::Token<int>> tokens;
    for (int i = 0; i < 20; ++i)
      tokens.push_back(
          h.call(&Keeper::first_of, SharedArray<char>(megabyte, static_cast<char>(i))));
    again.get();
    CHECK(a[0] == 'x');
    for (int i = 0; i < 20; ++i) CHECK(tokens[static_cast<std::size_t>(i)].get() == i);
    CHECK(h.restarts() == 1);
    settle(h);
    settle(h);
    check_returned(before);
  }
  check_returned(before);
}

TEST_CASE("what a replaced worker had kept comes back", "[shared_array]") {
  const auto before = shared_bytes();
  Handler<Keeper> h{restarting(), std::in_place};
  for (int round = 0; round < 3; ++round) {
    h.call(&Keeper::keep, SharedArray<char>(big, 1)).get();
    CHECK(shared_bytes() >= before + big);
    check_died(h.call(&Keeper::die_now));
    CHECK(h.call(&Keeper::first_of, SharedArray<char>(1, 5)).get() == 5);
    check_returned(before);
  }
}

TEST_CASE("a replaced worker's object has the array that it was made with", "[shared_array]") {
  const auto before = shared_bytes();
  const auto check = [](Handler<Keeper>& h) {  // whose arguments have ended
    CHECK(h.call(&Keeper::get, big - 1).get() == 7);
    check_died(h.call(&Keeper::die_now));
    const SharedArray<char> other(big, 9);
    CHECK(h.call(&Keeper::get, big - 1).get() == 7);
    check_died(h.call(&Keeper::die_now));
    CHECK(h.call(&Keeper::give).get().at(3) == 7);
  };
  {
    Handler<Keeper> h{restarting(), std::in_place, SharedArray<char>(big, 7)};
    check(h);
  }
  {
    Handler<Keeper> h{restarting(), apalis::carry, Keeper{SharedArray<char>(big, 7)}};
    check(h);
  }
  check_returned(before);
}

TEST_CASE("workers that retire let go", "[shared_array]") {
  const auto before = shared_bytes();
  {
    Handler<Keeper> h{{.max_calls_per_worker = 2}, std::in_place};
    for (int i = 0; i < 10; ++i) {
      h.call(&Keeper::keep, SharedArray<char>(megabyte, 1)).get();
      CHECK(h.call(&Keeper::first_of, SharedArray<char>(megabyte, 3)).get() == 3);
    }
    CHECK(h.retired() > 0);
  }
  check_returned(before);
}

TEST_CASE("workers of the fork server get arrays", "[shared_array]") {
  CHECK(in_child([] {
          apalis::ForkServer::start();
          Handler<Keeper> warm;
          settle(warm);
          const auto before = shared_bytes();
          {
            const SharedArray<char> a(big, 3);
            Handler<Keeper> h;
            apalis::test::expect(h.call(&Keeper::sum, a.subarray(5, 10)).get() == 30, "sum");
            Handler<Keeper> made{std::in_place, a};
            Handler<Keeper> carried{Keeper{SharedArray<char>(big, 4)}};
            const SharedArray<char> other(big, 9);
            apalis::test::expect(made.call(&Keeper::get, 77).get() == 3, "made in place");
            apalis::test::expect(carried.call(&Keeper::get, 77).get() == 4, "sent");
            Handler<Keeper> again{restarting(), std::in_place, SharedArray<char>(big, 5)};
            apalis::test::expect(again.call(&Keeper::get, 77).get() == 5, "restarts");
            try {
              again.call(&Keeper::die_now).get();
            } catch (const WorkerDied&) {
            }
            apalis::test::expect(again.call(&Keeper::get, 77).get() == 5, "restarted");
          }
          apalis::test::expect(shared_bytes() < before + megabyte, "it does not come back");
        }) == fine);
}

TEST_CASE("an array that a fork left behind is used while it is there", "[shared_array]") {
  everybodys.emplace(std::vector<int>{1, 2, 3});
  everybodys_number.emplace(apalis::put(5));
  everybodys_barrier.emplace(2);
  Handler<Keeper> h;
  settle(h);
  CHECK(h.call(&Keeper::at_everybodys).get() == 2);
  CHECK(h.call(&Keeper::read_everybodys).get() == 2);
  CHECK(h.call(&Keeper::everybodys_participants).get() == 2);
  everybodys.reset();
  everybodys_number.reset();
  everybodys_barrier.reset();
  const SharedArray<int> other(std::vector<int>{7, 8, 9});
  const auto gone = ContainsSubstring("this SharedArray is gone");
  CHECK_THROWS_WITH(h.call(&Keeper::at_everybodys).get(), gone);
  CHECK_THROWS_WITH(h.call(&Keeper::read_everybodys).get(), gone);
  CHECK_THROWS_WITH(h.call(&Keeper::everybodys_value).get(), ContainsSubstring("this Ref is gone"));
  CHECK_THROWS_WITH(h.call(&Keeper::everybodys_participants).get(),
                    ContainsSubstring("this Barrier is gone"));
}

namespace {

struct Grandchild {
  SharedArray<int> a;
  int get(std::size_t i) { return a.at(i); }
};

/// Its own worker takes over what this one never counted.
struct Between {
  std::optional<Handler<Grandchild>> below;
  void make() { below.emplace(std::in_place, *everybodys); }
  int get(std::size_t i) { return below->call(&Grandchild::get, i).get(); }
};

}  // namespace

TEST_CASE("what a worker's worker has of its grandparent stays", "[shared_array]") {
  const auto before = shared_bytes();
  everybodys.emplace(big / sizeof(int), 3);
  {
    Handler<Between> h;
    h.call(&Between::make).get();
    CHECK(h.call(&Between::get, 5).get() == 3);
    everybodys.reset();
    const SharedArray<int> other(big / sizeof(int), 9);
    CHECK(h.call(&Between::get, 6).get() == 3);
    CHECK(shared_bytes() >= before + 2 * big);
  }
  check_returned(before);
}

TEST_CASE("another fork than a worker can't count references", "[shared_array]") {
  const auto before = shared_bytes();
  {
    SharedArray<char> a(big, 1);
    CHECK(in_child([&] {
            apalis::test::expect(a[5] == 1, "its parent's memory");
            a[5] = 2;
            bool refused = false;
            try {
              const SharedArray<char> copy(a);
            } catch (const apalis::Error& e) {
              refused = std::string(e.what()).find("another fork") != std::string::npos;
            }
            apalis::test::expect(refused, "it can be copied");
            const SharedArray<char> moved(std::move(a));  // no error, and nothing happens to it
            a = SharedArray<char>(10, 3);                 // its own
            apalis::test::expect(a.at(0) == 3, "its own");
          }) == fine);
    CHECK(a[5] == 2);
  }
  check_returned(before);
}

TEST_CASE("full memory is a SystemError, and what was there stays", "[shared_array]") {
  Handler<Keeper> h;
  settle(h);
  const SharedArray<char> a(100, 1);
  {
    const Refusing full(sys::Call::back, ENOMEM);
    CHECK_THROWS_AS(SharedArray<char>(100), apalis::SystemError);
    CHECK_THROWS_AS(h.call(&Keeper::sum, a), apalis::SystemError);  // for the worker's words
    CHECK(h.call(&Keeper::sum, std::vector<char>(3, 1)).get() == 3);
  }
  CHECK(h.call(&Keeper::sum, a).get() == 100);
  CHECK(SharedArray<char>(100, 2)[99] == 2);
}

TEST_CASE("there are only so many arrays at once", "[shared_array]") {
  const auto before = shared_bytes();
  {
    std::vector<SharedArray<char>> all;
    Handler<Keeper> h;
    std::string text;
    try {
      for (std::uint32_t i = 0; i <= channel::most_blocks; ++i) all.emplace_back(1);
    } catch (const apalis::Error& e) {
      text = e.what();
    }
    CHECK_THAT(text, ContainsSubstring("can't be more at once"));
    CHECK(all.size() > channel::most_blocks - 100);
    CHECK(h.call(&Keeper::first_of, all.back()).get() == 0);
    Handler<Keeper> later{std::in_place, all.back()};
    CHECK(later.call(&Keeper::get, 0).get() == 0);
    // More of them than a worker goes on seeing.
    for (std::size_t i = 0; i < all.size(); i += 101) {
      all[i][0] = 5;
      CHECK(h.call(&Keeper::first_of, all[i]).get() == 5);
    }
  }
  check_returned(before);
}

TEST_CASE("what a worker writes about its blocks costs memory until it ends, and no more",
          "[shared_array]") {
  const auto before = shared_bytes();
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    {
      Handler<Keeper> liar;
      Handler<Keeper> honest;
      std::vector<SharedArray<char>> arrays(10);
      for (auto& array : arrays) {
        array = SharedArray<char>(megabyte, 1);
        honest.call(&Keeper::keep, array).get();
        CHECK(liar.call(&Keeper::first_of, array).get() == 1);
      }
      liar.call(&Keeper::write_words, seed).get();
      arrays.clear();
      for (int i = 0; i < 10; ++i) {
        CHECK(honest.call(&Keeper::first_of, SharedArray<char>(megabyte, 2)).get() == 2);
        CHECK(honest.call(&Keeper::get, 5).get() == 1);
      }
      honest.call(&Keeper::drop).get();
      settle(honest);
    }
    check_returned(before);
  }
}

TEST_CASE("arrays leave nothing behind when their process is killed", "[shared_array]") {
  Host host([](Host::Side& side) {
    const SharedArray<char> a(big, 1);
    Handler<Keeper> h;
    Handler<Keeper> other;
    h.call(&Keeper::keep, a).get();
    other.call(&Keeper::keep, a).get();
    side.tell(h.pid());
    side.tell(other.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched first(host.hear<pid_t>());
  const Watched second(host.hear<pid_t>());
  host.kill();
  CHECK(first.ends());
  CHECK(second.ends());
}
