// SPDX-License-Identifier: BSL-1.0
//
// One parallel map, without processes, on threads, and on processes: the program of the README.
//
//   engine_map [BACKEND...]        by default serial threads processes

#include <apalis/apalis.hpp>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

/// In how many ways the rows that are left take a queen each; columns and diagonals that are
/// attacked are bits of the next row.
long fill(unsigned board, unsigned columns, unsigned left, unsigned right) {
  if (columns == board) return 1;
  long ways = 0;
  for (unsigned free = board & ~(columns | left | right); free != 0; free &= free - 1) {
    const unsigned queen = free & (0U - free);
    ways += fill(board, columns | queen, (left | queen) << 1, (right | queen) >> 1);
  }
  return ways;
}

long solutions(int column, int queens) {  // with the first row's queen there
  const unsigned queen = 1U << column;
  return fill((1U << queens) - 1, queen, queen << 1, queen >> 1);
}

int main(int argc, char** argv) try {
  std::vector<std::string> backends(argv + 1, argv + argc);
  if (backends.empty()) backends = {"serial", "threads", "processes"};

  for (const std::string& backend : backends) {
    const apalis::Engine engine{backend};  // one worker a core, made when they are needed
    const auto start = std::chrono::steady_clock::now();
    const std::vector<long> ways = engine.map(solutions, std::views::iota(0, 14), 14);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;

    std::printf("%s, %.0f ms:\n ", backend.c_str(), time.count());
    for (const long number : ways) std::printf(" %ld", number);
    const long sum = std::accumulate(ways.begin(), ways.end(), 0L);
    std::printf(" = %ld\n", sum);
    if (sum != 365'596) return 1;  // as is known of 14 queens
  }
} catch (const apalis::Error& error) {  // a backend that there is not
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
