// SPDX-License-Identifier: BSL-1.0
#include "headline_report.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace apalis::bench {
namespace {

/// Three digits, in the unit that suits.
std::string length(double nanoseconds) {
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  const bool micro = nanoseconds < 1e6;
  const double number = nanoseconds / (micro ? 1e3 : 1e6);
  return fmt::format("{:.{}f} {}", number,
                     number < 10    ? 2
                     : number < 100 ? 1
                                    : 0,
                     micro ? "us" : "ms");
}
std::string length(std::chrono::nanoseconds span) {
  return length(static_cast<double>(span.count()));
}

void print_names(const char* corner, const Panel& panel) {
  fmt::print("{:>10}", corner);
  for (const Contestant& contestant : panel.contestants) fmt::print("{:>13}", contestant.name);
  fmt::print("\n");
}

template <class Text>
void print_line(const Series& series, Text text) {
  fmt::print("{:>10}", length(series.task));
  for (const Point& point : series.points) fmt::print("{:>13}", text(point));
  fmt::print("\n");
  std::fflush(stdout);
}

nlohmann::json to_json(const Spread& spread) {
  return {{"median", spread.median},
          {"lower_quartile", spread.lower_quartile},
          {"upper_quartile", spread.upper_quartile}};
}

std::ofstream opened(const std::string& path) {
  std::ofstream file(path);
  if (!file) throw std::runtime_error("cannot write " + path);
  return file;
}

void closed(std::ofstream& file, const std::string& path) {
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace

HeadlineTable::HeadlineTable(std::size_t lengths)
    : lengths_(lengths), terminal_(isatty(STDERR_FILENO) == 1) {}

void HeadlineTable::begin(const Panel& panel) {
  fmt::print("\nSpeed-up against the serial loop (medians), {} object{} a core\n\n",
             panel.objects_a_core, panel.objects_a_core == 1 ? "" : "s");
  print_names("task", panel);
}

void HeadlineTable::next(const Panel& panel, std::chrono::nanoseconds task, int repetition,
                         int of) {
  if (!terminal_) return;
  fmt::print(stderr, "\r\033[K[{}/{}] tasks of {}: repetition {} of {} ...",
             panel.series.size() + 1, lengths_, length(task), repetition, of);
}

void HeadlineTable::measured(const Panel& panel) {
  if (terminal_) fmt::print(stderr, "\r\033[K");
  print_line(panel.series.back(), [](const Point& point) {
    const double speed_up = point.speed_up.median;
    return speed_up < 0.0995 ? fmt::format("{:.2g}", speed_up) : fmt::format("{:.2f}", speed_up);
  });
}

void print_times(const Panel& panel) {
  fmt::print("\nTime of a round of {} tasks a core (medians)\n\n", panel.objects_a_core);
  print_names("task", panel);
  for (const Series& series : panel.series) {
    print_line(series, [](const Point& point) { return length(point.time.median); });
  }
}

void write_json(const std::string& path, const HeadlineRun& run, const std::vector<Panel>& panels) {
  nlohmann::json points = nlohmann::json::array();
  for (const Panel& panel : panels) {
    for (const Series& series : panel.series) {
      for (std::size_t i = 0; i < series.points.size(); ++i) {
        points.push_back({{"variant", panel.contestants[i].name},
                          {"objects_a_core", panel.objects_a_core},
                          {"task_ns", series.task.count()},
                          {"round_ns", to_json(series.points[i].time)},
                          {"speed_up", to_json(series.points[i].speed_up)}});
      }
    }
  }
  const nlohmann::json report = {{"machine", run.machine.summary()},
                                 {"cpus_allowed", run.machine.cpus_allowed},
                                 {"load_average", run.machine.load_average},
                                 {"compiler", run.machine.compiler},
                                 {"flags", run.machine.flags},
                                 {"commit", run.machine.commit},
                                 {"date", run.machine.date},
                                 {"cores", run.cores},
                                 {"seconds", run.seconds},
                                 {"quick", run.quick},
                                 {"points", std::move(points)}};
  auto file = opened(path);
  file << report.dump(2) << '\n';
  closed(file, path);
}

/// Comments that the plot reads its titles from, then a block for each contestant, two
/// empty lines apart, under its name: NAME/OBJECTS.
void write_data(const std::string& path, const HeadlineRun& run, const std::vector<Panel>& panels) {
  auto file = opened(path);
  fmt::print(file, "# machine {} x {}, {}\n# date {}\n# commit {}\n# cores {}\n# quick {:d}\n",
             run.machine.cpus, run.machine.cpu, run.machine.kernel, run.machine.date.substr(0, 10),
             run.machine.commit, run.cores, run.quick);
  for (const Contestant& contestant : panels.front().contestants) {
    fmt::print(file, "# variant {}:{}\n", contestant.name, contestant.title);
  }
  fmt::print(file, "# task (us), time of a round (us): median, quartiles; speed-up: the same\n");
  for (const Panel& panel : panels) {
    for (std::size_t i = 0; i < panel.contestants.size(); ++i) {
      fmt::print(file, "\n\n# {}/{}\n", panel.contestants[i].name, panel.objects_a_core);
      for (const Series& series : panel.series) {
        const auto& [time, speed_up] = series.points[i];
        fmt::print(file, "{:g} {:.6g} {:.6g} {:.6g} {:.6g} {:.6g} {:.6g}\n",
                   static_cast<double>(series.task.count()) / 1e3, time.median / 1e3,
                   time.lower_quartile / 1e3, time.upper_quartile / 1e3, speed_up.median,
                   speed_up.lower_quartile, speed_up.upper_quartile);
      }
    }
  }
  closed(file, path);
}

}  // namespace apalis::bench
