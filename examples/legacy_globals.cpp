// SPDX-License-Identifier: BSL-1.0
//
// A C library that keeps its problem in globals (legacy_globals_ode.c), used for four problems at
// once: by processes, where each has globals of its own, and by threads, which share them.

#include <apalis/apalis.hpp>
#include <array>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "legacy_globals_ode.h"

/// The library's one problem, as an object.
class Decay {
 public:
  explicit Decay(double rate) { ode_setup(rate, 1.0); }
  double at(double time) {
    ode_advance(time);
    return ode_value();
  }
};

constexpr std::array rates{0.5, 1.0, 2.0, 4.0};
using Answers = std::array<double, rates.size()>;

Answers with_processes() {
  std::vector<apalis::Handler<Decay>> problems;
  problems.reserve(rates.size());
  for (const double rate : rates) problems.emplace_back(std::in_place, rate);
  std::vector<apalis::Token<double>> tokens;
  tokens.reserve(rates.size());
  for (auto& problem : problems) tokens.push_back(problem.call(&Decay::at, 1.0));
  Answers answers{};
  for (std::size_t i = 0; i < rates.size(); ++i) answers[i] = tokens[i].get();
  return answers;
}

/// A lock around each call keeps the library's words whole, and its problems mixed all the same.
Answers with_threads() {
  Answers answers{};
  std::mutex library;
  std::barrier all_set_up(static_cast<std::ptrdiff_t>(rates.size()));
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto locked = [&](auto call) {
        const std::lock_guard lock(library);
        return call();
      };
      locked([&] { ode_setup(rates[i], 1.0); });
      all_set_up.arrive_and_wait();  // the order that any two threads may meet in
      locked([] { ode_advance(1.0); });
      answers[i] = locked([] { return ode_value(); });
    });
  }
  threads.clear();  // joins
  return answers;
}

int main() {
  const Answers processes = with_processes();
  const Answers threads = with_threads();

  bool right = true;
  std::puts("y' = -rate y, y(0) = 1, at t = 1");
  std::puts("rate     exact  processes    threads");
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const double exact = std::exp(-rates[i]);
    const auto is_right = [&](double answer) { return std::abs(answer - exact) < 1e-9; };
    std::printf("%4.1f  %.6f   %.6f   %.6f%s\n", rates[i], exact, processes[i], threads[i],
                is_right(threads[i]) ? "" : "  wrong");
    right = right && is_right(processes[i]);
  }
  std::puts(right ? "processes: right. The globals of each are its own." : "processes: WRONG");
  return right ? 0 : 1;
}
