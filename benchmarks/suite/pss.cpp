// SPDX-License-Identifier: BSL-1.0
#include "pss.hpp"

#include <numeric>
#include <stdexcept>
#include <string>

#include "raw_calls.hpp"

namespace apalis::bench {
namespace {

double pss_of(pid_t process) {
  const std::string path = "/proc/" + std::to_string(process) + "/smaps_rollup";
  const std::string rollup = read_file(path);
  const auto line = rollup.find("\nPss:");
  if (line == std::string::npos) throw std::runtime_error("no Pss in " + path);
  return std::stod(rollup.substr(line + 5));
}

}  // namespace

double pss_in_kb(const std::vector<pid_t>& processes) {
  const auto add = [](double sum, pid_t process) { return sum + pss_of(process); };
  return std::accumulate(processes.begin(), processes.end(), 0.0, add);
}

}  // namespace apalis::bench
