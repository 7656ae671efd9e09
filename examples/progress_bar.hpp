// SPDX-License-Identifier: BSL-1.0
#pragma once

// How far a program has come: a bar with rate and remaining time on a terminal, a line for each
// tenth elsewhere.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

class Progress {
 public:
  /// `unit`: what there are `total` of.
  Progress(std::size_t total, std::string unit) : total_(total), unit_(std::move(unit)) {}

  void one_more() {
    ++done_;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double rate = static_cast<double>(done_) / seconds;
    const double left = static_cast<double>(total_ - done_) / rate;
    const std::size_t tenth = done_ * 10 / total_;
    if (is_terminal_) {
      const std::size_t full = done_ * 40 / total_;
      std::printf("\r[%s%s] %3zu %%  %6.0f %s/s  %5.1f s left ", std::string(full, '#').c_str(),
                  std::string(40 - full, '.').c_str(), done_ * 100 / total_, rate, unit_.c_str(),
                  left);
      if (done_ == total_) std::puts("");
    } else if (tenth != tenth_) {
      std::printf("%3zu %%  %6.0f %s/s  %5.1f s left\n", tenth * 10, rate, unit_.c_str(), left);
    }
    tenth_ = tenth;
    std::fflush(stdout);
  }

 private:
  std::size_t total_, done_ = 0, tenth_ = 0;
  std::string unit_;
  bool is_terminal_ = isatty(STDOUT_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};
