// SPDX-License-Identifier: BSL-1.0
// Handlers that come and go under load, and workers that are killed at any moment.
#include <apalis/apalis.hpp>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ledger.hpp"
#include "settings.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;

namespace {

// Tokens of echo(size): each must give its size back, or tell of the worker's death.
class Echoes {
 public:
  void send(Handler<Ledger>& h, std::mt19937_64& random) {
    const std::size_t size = stress::random_size(random);
    echoes_.push_back({h.call(&Ledger::echo, std::string(size, 'e')), size});
  }
  void drop_some(std::mt19937_64& random) {
    std::erase_if(echoes_, [&](const Echo&) { return random() % 4 == 0; });
  }
  // How many tell of something else than their result or, if that may be, of a death.
  std::size_t wrong(bool may_be_dead) {
    std::size_t n = 0;
    for (auto& e : echoes_) {
      try {
        if (std::move(e.token).get() != std::string(e.size, 'e')) ++n;
      } catch (const apalis::WorkerDied&) {
        if (!may_be_dead) ++n;
      } catch (const apalis::Cancelled&) {
        if (!may_be_dead) ++n;
      }
    }
    echoes_.clear();
    return n;
  }

 private:
  struct Echo {
    Token<std::string> token;
    std::size_t size;
  };
  std::vector<Echo> echoes_;
};

}  // namespace

TEST_CASE("handlers come and go with calls in flight", "[stress]") {
  CAPTURE(stress::seed());
  auto random = stress::random_for(10);
  std::vector<Handler<Ledger>> handlers;
  Echoes echoes;
  std::size_t wrong = 0;
  const std::uint64_t rounds = stress::calls(0.001);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    if (handlers.size() < 6 || random() % 2 == 0) handlers.emplace_back();
    for (auto n = random() % 100; n > 0; --n)
      echoes.send(handlers[random() % handlers.size()], random);
    const std::size_t i = random() % handlers.size();
    switch (random() % 5) {
      case 0:
        handlers[i].close();
        [[fallthrough]];
      case 1:
        std::swap(handlers[i], handlers.back());
        handlers.pop_back();
        if (handlers.empty()) handlers.emplace_back();
        break;
      case 2:
        handlers[i] = Handler<Ledger>{};
        break;
      case 3:
        echoes.drop_some(random);
        break;
      default:
        wrong += echoes.wrong(false);
    }
  }
  handlers.clear();
  wrong += echoes.wrong(false);
  CHECK(wrong == 0);
}

TEST_CASE("workers are killed at any moment and no caller hangs", "[stress]") {
  CAPTURE(stress::seed());
  auto random = stress::random_for(11);
  const std::uint64_t rounds = stress::calls(0.0005);
  std::atomic<std::size_t> wrong{0};
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Handler<Ledger> h;
    std::atomic<int> progress{0};
    const int deadly = static_cast<int>(random() % 300);
    std::vector<std::thread> callers;
    for (int t = 0; t < 2; ++t)
      callers.emplace_back(
          [&, mine = stress::random_for(1000 + round * 2 + static_cast<unsigned>(t))]() mutable {
            Echoes echoes;
            try {
              for (int i = 0; i < 200; ++i) {
                ++progress;
                echoes.send(h, mine);
                if (mine() % 50 == 0) wrong += echoes.wrong(true);
              }
            } catch (const apalis::Error&) {  // a dead worker may refuse a call at once
            }
            wrong += echoes.wrong(true);
          });
    const bool by_signal = random() % 2 == 0;
    std::thread killer([&] {
      while (progress < deadly) std::this_thread::yield();
      if (by_signal)
        ::kill(h.pid(), random() % 2 == 0 ? SIGKILL : SIGUSR1);
      else
        h.kill();
    });
    killer.join();
    for (auto& c : callers) c.join();
    // The worker is dead, or dies before it can answer this.
    try {
      for (;;) h.call(&Ledger::echo, "still there").get();
    } catch (const apalis::WorkerDied&) {
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("exceptions unwind handlers with calls in flight", "[stress]") {
  CAPTURE(stress::seed());
  auto random = stress::random_for(12);
  std::size_t wrong = 0;
  const std::uint64_t rounds = stress::calls(0.0005);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Echoes echoes;
    try {
      Handler<Ledger> h;
      for (auto n = random() % 200; n > 0; --n) echoes.send(h, random);
      throw std::runtime_error("unwinding");
    } catch (const std::runtime_error&) {
    }
    wrong += echoes.wrong(true);
  }
  CHECK(wrong == 0);
}
