// SPDX-License-Identifier: BSL-1.0
#include "machine.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>

#include "raw_calls.hpp"

// The build says which flags it used; a build by hand says at least what the compiler knows.
#ifndef APALIS_BENCH_FLAGS
#  ifdef __OPTIMIZE__
#    define APALIS_BENCH_FLAGS "optimized"
#  else
#    define APALIS_BENCH_FLAGS "not optimized"
#  endif
#endif

namespace apalis::bench {
namespace {

/// What follows "key<blanks>:<blanks>" in a file of such lines.
std::string field(const std::string& text, const std::string& key) {
  const auto line = text.find(key);
  if (line == std::string::npos) return "unknown";
  const auto start = text.find_first_not_of(" \t", text.find(':', line) + 1);
  return text.substr(start, text.find('\n', start) - start);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string kernel() {
  utsname name{};
  uname(&name);
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string memory() {
  const auto bytes = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  return fmt::format("{} GiB", bytes >> 30);
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  char line[256];
  return pipe && fgets(line, sizeof line, pipe.get()) ? first_line(line) : std::string();
}

std::string commit() {
  const auto here = std::filesystem::path(__FILE__).parent_path().string();
  const std::string id = output_of(fmt::format(
      "git -C '{}' describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null", here));
  return id.empty() ? "unknown" : id;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

Machine this_machine() {
  const std::string load = first_line(read_file("/proc/loadavg"));
  return {.cpu = field(read_file("/proc/cpuinfo"), "model name"),
          .cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
          .cpus_allowed = field(read_file("/proc/self/status"), "Cpus_allowed_list"),
          .kernel = kernel(),
          .memory = memory(),
          .load_average = load.substr(0, load.find(' ')),
          .compiler = compiler(),
          .flags = APALIS_BENCH_FLAGS,
          .commit = commit(),
          .date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))};
}

std::string Machine::summary() const {
  return fmt::format("{} x {}, {}, {}", cpus, cpu, memory, kernel);
}

}  // namespace apalis::bench
