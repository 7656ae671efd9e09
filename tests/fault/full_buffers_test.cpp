// SPDX-License-Identifier: BSL-1.0
// A worker that is stuck, buffers that are full, and a thread that waits for room in them: the
// other threads still get their bounded answers.
#include <sys/syscall.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;
using namespace std::chrono_literals;

namespace {

// A worker that is stuck in `wait`, and a thread that posts to it until nothing more fits.
class Jam {
 public:
  Jam() : stuck_(handler.call(&Waiter::wait)) {
    entered.pass();
    sender_ = std::thread([this] {
      thread_ = static_cast<pid_t>(::syscall(SYS_gettid));
      try {
        const std::string text(10'000, 'j');
        for (; !stop_; ++sent_) handler.post([](Waiter&, const std::string&) {}, text);
      } catch (const apalis::Error&) {  // a dead worker may refuse, or take and drop
      }
    });
    await_standstill();
  }
  ~Jam() {
    leave.open();
    if (sender_.joinable()) join();
  }
  Jam(const Jam&) = delete;
  Jam& operator=(const Jam&) = delete;

  /// Returns once the sender has got room, or has learnt that there never will be any.
  void join() {
    stop_ = true;
    sender_.join();
  }
  Token<int>& stuck() { return stuck_; }

  Gate entered, leave;
  Handler<Waiter> handler{std::in_place, &entered, &leave};

 private:
  // Nothing tells that a thread waits: it sends no more, and sleeps each time one looks.
  void await_standstill() {
    int still = 0;
    for (long before = -1; still < 200; std::this_thread::yield()) {
      const long now = sent_;
      still = now == before && now > 0 && sleeps() ? still + 1 : 0;
      before = now;
    }
  }
  bool sleeps() const {
    const std::string stat = read_file("/proc/self/task/" + std::to_string(thread_) + "/stat");
    const auto name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0;
  }

  Token<int> stuck_;
  std::atomic<long> sent_{0};
  std::atomic<bool> stop_{false};
  std::atomic<pid_t> thread_{0};
  std::thread sender_;
};

}  // namespace

TEST_CASE("kill ends a stuck worker while another thread waits for room", "[full]") {
  Host host([](Host::Side&) {
    Jam jam;
    jam.handler.kill();
    jam.join();
    try {
      jam.stuck().get();
      return 1;
    } catch (const apalis::WorkerDied&) {
    }
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("tokens answer within their bounds while another thread waits for room", "[full]") {
  Host host([](Host::Side& side) {
    Jam jam;
    expect(!jam.stuck().ready(), "ready");
    side.tell('r');
    expect(jam.stuck().try_get() == nullptr, "try_get");
    side.tell('t');
    expect(!jam.stuck().wait_for(10ms), "wait_for");
    side.tell('w');
    expect(!jam.stuck().cancel(), "cancel");
    side.tell('c');
    std::vector<Token<int>> tokens;
    tokens.push_back(std::move(jam.stuck()));
    expect(apalis::wait(tokens, {.count = 1, .timeout = 10ms}).ready.empty(), "wait");
    side.tell('m');
    expect(jam.handler.alive(), "alive");
    side.tell('a');
    tokens.clear();  // dropped: neither waits nor leaks
    side.tell('d');
    jam.handler.kill();
    return 0;
  });
  for (const char step : {'r', 't', 'w', 'c', 'm', 'a', 'd'}) {
    CAPTURE(step);
    REQUIRE(host.hear<char>() == step);
  }
  CHECK(host.status() == 0);
}

TEST_CASE("a thread that waits for room learns of the worker's death", "[full]") {
  Host host([](Host::Side&) {
    Jam jam;
    Watched(jam.handler.pid()).signal(SIGKILL);
    jam.join();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("buffers that were full move on when the worker does", "[full]") {
  Host host([](Host::Side&) {
    Gate entered, leave;
    Handler<Waiter> h{std::in_place, &entered, &leave};
    auto stuck = h.call(&Waiter::wait);
    entered.pass();
    std::vector<Token<std::size_t>> tokens;
    std::thread sender([&] {
      for (int i = 0; i < 200; ++i)
        tokens.push_back(h.call([](Waiter&, const std::string& s) { return s.size(); },
                                std::string(20'000, 's')));
    });
    leave.open();
    expect(stuck.get() == 1, "a wrong result");
    sender.join();
    for (auto& t : tokens) expect(t.get() == 20'000, "a wrong size");
    return 0;
  });
  CHECK(host.status() == 0);
}
