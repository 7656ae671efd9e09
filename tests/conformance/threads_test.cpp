// SPDX-License-Identifier: BSL-1.0
// One handler, many threads.
#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backends.hpp"

using apalis::Token;
using namespace conformance;

namespace {

constexpr std::size_t thread_count = 8;

// Checks that the calls of each thread arrive in the order they were made.
struct Sequencer {
  std::array<int, thread_count> last{};
  int violations = 0;

  int next(std::size_t thread, int number) {
    if (number != last.at(thread) + 1) ++violations;
    return last.at(thread) = number;
  }
  int payload(std::size_t thread, int number, const std::string& text) {
    return next(thread, number) + static_cast<int>(text.size());
  }
  void refuse() { throw std::out_of_range("refused"); }
};

// Runs body(thread) on as many threads; returns the failures' messages.
template <class Body>
std::vector<std::string> on_threads(Body body) {
  std::vector<std::string> failures;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < thread_count; ++i)
    threads.emplace_back([&, i] {
      try {
        body(i);
      } catch (const std::exception& e) {
        const std::lock_guard lock(mutex);
        failures.emplace_back(e.what());
      }
    });
  for (auto& t : threads) t.join();
  return failures;
}

}  // namespace

TEST_CASE("each thread's calls are FIFO and get their own results", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          std::vector<Token<int>> tokens;
          for (int n = 1; n <= 4000; ++n) {
            tokens.push_back(h.call<&Sequencer::next>(thread, n));
            if (n % 500 == 0) {
              for (std::size_t i = tokens.size(); i-- > 0;)
                if (tokens[i].get() != n - 499 + static_cast<int>(i)) ++wrong;
              tokens.clear();
            }
          }
        }).empty());
  CHECK(wrong == 0);
  CHECK(h.get(&Sequencer::violations).get() == 0);
}

TEST_CASE("threads may call, post, set and wait for each result at once", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          for (int n = 1; n <= 1000; ++n) {
            if (n % 3 == 0)
              h.post(&Sequencer::next, thread, n);
            else if (h.call(&Sequencer::next, thread, n).get() != n)
              ++wrong;
          }
        }).empty());
  h.drain();
  CHECK(wrong == 0);
  CHECK(h.get(&Sequencer::violations).get() == 0);
  const auto last = h.get(&Sequencer::last).get();
  for (int n : last) CHECK(n == 1000);
}

TEST_CASE("threads may send messages that fill the buffers", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          std::vector<Token<int>> tokens;
          for (int n = 1; n <= 200; ++n)
            tokens.push_back(h.call(&Sequencer::payload, thread, n,
                                    std::string(static_cast<std::size_t>(n % 7) * 30'000, 'x')));
          for (std::size_t i = 0; i < tokens.size(); ++i) {
            const int n = static_cast<int>(i) + 1;
            if (tokens[i].get() != n + n % 7 * 30'000) ++wrong;
          }
        }).empty());
  CHECK(wrong == 0);
  CHECK(h.get(&Sequencer::violations).get() == 0);
}

TEST_CASE("failures reach the thread that made the call", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          for (int n = 1; n <= 200; ++n) {
            auto good = h.call(&Sequencer::next, thread, n);
            auto bad = h.call(&Sequencer::refuse);
            try {
              bad.get();
              ++wrong;
            } catch (const std::out_of_range&) {
            }
            if (good.get() != n) ++wrong;
          }
        }).empty());
  CHECK(wrong == 0);
}

TEST_CASE("tokens of one handler are read by several threads at once", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  std::array<std::vector<Token<int>>, thread_count> tokens;
  for (int n = 1; n <= 8000; ++n)
    tokens.at(static_cast<std::size_t>(n) % thread_count)
        .push_back(h.call(&Sequencer::next, 0U, n));
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          int n = thread == 0 ? static_cast<int>(thread_count) : static_cast<int>(thread);
          for (auto& t : tokens.at(thread)) {
            if (t.get() != n) ++wrong;
            n += static_cast<int>(thread_count);
          }
        }).empty());
  CHECK(wrong == 0);
}

TEST_CASE("each thread makes, uses and ends handlers of its own", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::atomic<int> wrong{0};
  CHECK(on_threads([&](std::size_t thread) {
          for (int round = 0; round < 10; ++round) {
            auto h = on<Sequencer>(backend);
            for (int n = 1; n <= 20; ++n)
              if (h.call(&Sequencer::next, thread, n).get() != n) ++wrong;
          }
        }).empty());
  CHECK(wrong == 0);
}

TEST_CASE("threads drain while others go on posting", "[threads]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Sequencer>(backend);
  CHECK(on_threads([&](std::size_t thread) {
          for (int n = 1; n <= 500; ++n) {
            h.post(&Sequencer::next, thread, n);
            if (n % 50 == 0) h.drain();
          }
        }).empty());
  h.drain();
  CHECK(h.get(&Sequencer::violations).get() == 0);
  const auto last = h.get(&Sequencer::last).get();
  for (int n : last) CHECK(n == 500);
}
