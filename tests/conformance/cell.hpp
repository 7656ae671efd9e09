// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of groups put into them, and a group of it on a backend.
//
//   auto g = cells(backend, 3, 10);     // Cell{0} … Cell{9} on three workers

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

namespace conformance {

/// An object that knows its place and counts.
struct Cell {
  int index = 0;
  int total = 0;

  int add(int x) { return total += x; }
  int subtract(int x) { return total -= x; }
  int tell() const { return index; }
  void grow(int x) { total += x; }
  double weigh(double factor, int offset) const { return index * factor + offset; }
  double sum(std::span<const double> xs) const {
    double s = index;
    for (const double x : xs) s += x;
    return s;
  }
  std::string label(std::string_view prefix) const {
    return std::string(prefix) + std::to_string(index);
  }
  std::size_t length(const std::string& text) const { return text.size(); }
  std::string repeat(std::size_t n) const { return std::string(n, static_cast<char>('a' + index)); }
  std::unique_ptr<int> give() const { return std::make_unique<int>(index); }
  int odd(int x) {
    if (x % 2 == 0) throw std::domain_error("even " + std::to_string(x));
    return total += x;
  }
  void odd_only(int x) { odd(x); }
};

[[nodiscard]] inline apalis::GroupOptions group_options(apalis::Backend backend,
                                                        std::size_t workers) {
  apalis::GroupOptions options;
  options.backend = backend;
  options.workers = workers;
  return options;
}

[[nodiscard]] inline apalis::GroupHandler<Cell> cells(apalis::Backend backend, std::size_t workers,
                                                      std::size_t count) {
  return {group_options(backend, workers), std::in_place, count,
          [](std::size_t i) { return Cell{static_cast<int>(i)}; }};
}

/// Waiters at the same two gates.
[[nodiscard]] inline apalis::GroupHandler<Waiter> waiters(apalis::Backend backend,
                                                          std::size_t workers, std::size_t count,
                                                          Gate& entered, Gate& leave) {
  return {group_options(backend, workers), std::in_place, count, [&](std::size_t) {
            return Waiter{&entered, &leave};
          }};
}

/// first, first + 1, … `count` numbers.
[[nodiscard]] inline std::vector<int> numbers(int first, std::size_t count) {
  std::vector<int> all(count);
  for (int& x : all) x = first++;
  return all;
}

}  // namespace conformance
