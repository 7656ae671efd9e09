// SPDX-License-Identifier: BSL-1.0
// What the program does when it runs itself as a probe.

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "bare_fork.hpp"
#include "engine_probes.hpp"
#include "group_probes.hpp"
#include "instructions.hpp"
#include "payload_probes.hpp"
#include "probe.hpp"
#include "pss.hpp"
#include "raw_calls.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;
using EchoHandler = Handler<Echo>;

/// Handlers that have each served a few calls and wait for more.
std::vector<EchoHandler> served_handlers(int count) {
  std::vector<EchoHandler> handlers(static_cast<std::size_t>(count));
  for (EchoHandler& handler : handlers) {
    for (int x = 0; x < 10; ++x) keep(handler.call(&Echo::f, x).get());
  }
  return handlers;
}

double mean_pss_in_kb(const std::vector<pid_t>& processes) {
  return pss_in_kb(processes) / static_cast<double>(processes.size());
}

double pss_of_handlers(int count) {
  const auto handlers = served_handlers(count);
  std::vector<pid_t> children(handlers.size());
  std::transform(handlers.begin(), handlers.end(), children.begin(),
                 [](const EchoHandler& handler) { return handler.pid(); });
  return mean_pss_in_kb(children);
}

double pss_of_bare_children(int count) {
  std::vector<pid_t> children(static_cast<std::size_t>(count));
  std::generate(children.begin(), children.end(), fork_idle_child);
  const double mean = mean_pss_in_kb(children);
  for (const pid_t child : children) end_child(child);
  return mean;
}

/// CPU time that a process has used; finer than the ticks in /proc/PID/stat.
double cpu_seconds(pid_t process) {
  clockid_t clock;
  timespec time;
  if (const int error = clock_getcpuclockid(process, &clock)) {
    throw std::system_error(error, std::generic_category(), "clock_getcpuclockid");
  }
  checked(clock_gettime(clock, &time), "clock_gettime");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// CPU seconds that parent and children use in two seconds in which nothing is asked of them.
double idle_cpu(int count, std::chrono::milliseconds window) {
  const auto handlers = served_handlers(count);
  const auto used = [&] {
    const auto add = [](double sum, const EchoHandler& handler) {
      return sum + cpu_seconds(handler.pid());
    };
    return std::accumulate(handlers.begin(), handlers.end(), cpu_seconds(getpid()), add);
  };
  std::this_thread::sleep_for(500ms);  // until the last call is history
  const double before = used();
  std::this_thread::sleep_for(window);
  return used() - before;
}

}  // namespace

double run_probe(const std::string& name, int count) {
  const std::map<std::string, std::function<double(int)>> probes = {
      {"pss", pss_of_handlers},
      {"pss_bare", pss_of_bare_children},
      {"pss_made_group", pss_of_made_group},
      {"pss_carried_group", pss_of_carried_group},
      {"call_instructions", count_single_calls},
      {"imap_memory", memory_of_imap},
      {"memory_after", memory_after_messages},
      {"pipelined_instructions", count_pipelined_calls},
      {"idle", [](int n) { return idle_cpu(n, 2s); }},
      {"idle_briefly", [](int n) { return idle_cpu(n, 100ms); }},
  };
  const auto found = probes.find(name);
  if (found == probes.end()) throw std::invalid_argument("no probe is called " + name);
  return found->second(count);
}

}  // namespace apalis::bench
