// SPDX-License-Identifier: BSL-1.0
// The headline experiment: from which length of task which way of running them on all cores pays.
//
//   apalis_headline [--quick] [--output DIRECTORY]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <apalis/cpu_count.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <string>

#include "../suite/machine.hpp"
#include "experiment.hpp"
#include "headline_report.hpp"

namespace apalis::bench {
namespace {

void print_head(const HeadlineRun& run) {
  fmt::print("apalis {} on {}\n", run.machine.commit, run.machine.date);
  fmt::print("  machine    {}\n", run.machine.summary());
  fmt::print("  build      {}; {}\n", run.machine.compiler, run.machine.flags);
  fmt::print("  placement  {} among cpus {}; load average {}\n", placement,
             run.machine.cpus_allowed, run.machine.load_average);
#ifndef APALIS_BENCH_TBB
  fmt::print("  oneTBB     left out: it was not there when this program was built (libtbb-dev)\n");
#endif
  if (run.quick) {
    fmt::print("A quick run shows that the experiment works; its figures mean nothing.\n");
  }
}

int measure(bool quick, const std::string& directory) {
  const auto start = std::chrono::steady_clock::now();
  const Plan plan = quick ? Plan::quick() : Plan::full();
  HeadlineRun run{this_machine(), static_cast<std::size_t>(cpu_count()), 0, quick};
  print_head(run);

  HeadlineTable table(plan.tasks.size());
  const auto panels = run_experiment(plan, run.cores, table);
  for (const Panel& panel : panels) print_times(panel);

  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("\n{:.0f} s\n", run.seconds);
  write_json(directory + "/headline.json", run, panels);
  write_data(directory + "/headline.dat", run, panels);
  return 0;
}

}  // namespace
}  // namespace apalis::bench

int main(int argc, char** argv) {
  bool quick = false;
  std::string directory = ".";
  CLI::App app{"Serial, std::async, oneTBB and apalis at tasks of 100 ns to 10 ms."};
  app.add_flag("--quick", quick, "Seconds in all: for function, not for figures");
  app.add_option("--output", directory, "Where headline.json and headline.dat go")
      ->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  try {
    return apalis::bench::measure(quick, directory);
  } catch (const std::exception& error) {
    fmt::print(stderr, "apalis_headline: {}\n", error.what());
    return 1;
  }
}
