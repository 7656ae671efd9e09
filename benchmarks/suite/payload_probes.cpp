// SPDX-License-Identifier: BSL-1.0
#include "payload_probes.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "pss.hpp"
#include "stopwatch.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;

struct Taker {
  double take(std::vector<double> xs) { return xs.back(); }
};

/// Of the files in memory that this process has open, mapped or not.
double memfds_in_kb() {
  double kb = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    struct stat file {};
    if (!gone && target.starts_with("/memfd:") && ::stat(entry.path().c_str(), &file) == 0)
      kb += static_cast<double>(file.st_blocks) / 2;
  }
  return kb;
}

}  // namespace

double memory_after_messages(int messages) {
  constexpr std::size_t doubles = 10'000'000;
  const std::vector<double> xs(doubles, 1.0);  // the program's own, before and after
  Handler<Taker> handler;
  keep(handler.call(&Taker::take, std::vector<double>(10)).get());
  std::this_thread::sleep_for(1s);
  const auto memory = [&] { return pss_in_kb({::getpid(), handler.pid()}) + memfds_in_kb(); };
  const double before = memory();
  for (int i = 0; i < messages; ++i) keep(handler.call(&Taker::take, xs).get());
  std::this_thread::sleep_for(1s);  // the idle second
  return memory() / before;
}

}  // namespace apalis::bench
