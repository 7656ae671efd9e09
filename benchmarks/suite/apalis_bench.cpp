// SPDX-License-Identifier: BSL-1.0
// The benchmark suite: each figure beside its reference, measured in turns in the same run.
//
//   apalis_bench [--filter REGEX] [--quick] [--json FILE] [--list]

#include <fmt/format.h>
#include <regex.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ping_pong.hpp"
#include "probe.hpp"
#include "row.hpp"
#include "suite_report.hpp"

namespace apalis::bench {
namespace {

struct Arguments {
  std::string filter = "";
  std::string json_file = "";
  bool quick = false;
  bool list = false;
  std::string probe = "";
  int count = 1;
};

/// An extended regular expression of POSIX, which compiles faster and cleaner than std::regex.
class Pattern {
 public:
  explicit Pattern(const std::string& text) {
    if (regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
      throw std::invalid_argument("not a regular expression: " + text);
    }
  }
  ~Pattern() { regfree(&compiled_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  [[nodiscard]] bool found_in(const std::string& text) const {
    return regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_;
};

std::vector<Row> chosen_rows(const std::string& filter) {
  std::vector<Row> rows = all_rows();
  const Pattern pattern(filter);
  std::erase_if(rows, [&](const Row& row) { return !pattern.found_in(row.name); });
  return rows;
}

void list(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    fmt::print("{:<28}{}; beside it: {}\n", row.name, row.what, row.reference);
  }
}

/// Says on a terminal what is being measured; the row's line then takes its place.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total) {}
  void begin(const Row& row) {
    if (shown_) fmt::print(stderr, "\r\033[K[{}/{}] {} ...", ++done_, total_, row.name);
  }
  void end() const {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }

 private:
  std::size_t total_;
  std::size_t done_ = 0;
  bool shown_ = isatty(STDERR_FILENO) == 1;
};

nlohmann::json run(const std::vector<Row>& rows, const Effort& effort) {
  const auto start = std::chrono::steady_clock::now();
  const Circumstances circumstances{this_machine(), ping_pong_now(), effort.quick};
  Table table(effort.quick);
  table.print_head(circumstances);

  nlohmann::json json_rows = nlohmann::json::array();
  Progress progress(rows.size());
  for (const Row& row : rows) {
    progress.begin(row);
    const RowResult result = measure(row, effort);
    progress.end();
    table.print(row, result);
    json_rows.push_back(to_json(row, result, effort.quick));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  table.print_foot(seconds.count());

  nlohmann::json report = to_json(circumstances);
  report["seconds"] = seconds.count();
  report["rows"] = std::move(json_rows);
  return report;
}

int benchmark(const Arguments& arguments) {
  const std::vector<Row> rows = chosen_rows(arguments.filter);
  if (arguments.list) {
    list(rows);
    return 0;
  }
  if (rows.empty()) throw std::runtime_error("no row matches " + arguments.filter);

  // Opened first: minutes of measuring must not end at a file that can't be written.
  std::ofstream file;
  if (!arguments.json_file.empty()) {
    file.open(arguments.json_file);
    if (!file) throw std::runtime_error("cannot write " + arguments.json_file);
  }
  const auto report = run(rows, arguments.quick ? Effort::for_function() : Effort::full());
  if (file.is_open()) file << report.dump(2) << '\n' << std::flush;
  if (!arguments.json_file.empty() && !file) {
    throw std::runtime_error("cannot write " + arguments.json_file);
  }
  return 0;
}

}  // namespace
}  // namespace apalis::bench

int main(int argc, char** argv) {
  using namespace apalis::bench;
  Arguments arguments;
  CLI::App app{"Measures apalis, each figure beside its reference in the same run."};
  app.add_option("--filter", arguments.filter, "Only the rows whose name matches this regex");
  app.add_option("--json", arguments.json_file, "Write the results to this file");
  app.add_flag("--quick", arguments.quick, "Seconds in all: for function, not for figures");
  app.add_flag("--list", arguments.list, "Name the rows and measure nothing");
  app.add_option("--probe", arguments.probe)->group("");  // hidden: the suite runs itself
  app.add_option("--count", arguments.count)->group("");
  CLI11_PARSE(app, argc, argv);

  try {
    if (arguments.probe.empty()) return benchmark(arguments);
    fmt::print("{}\n", run_probe(arguments.probe, arguments.count));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "apalis_bench: {}\n", error.what());
    return 1;
  }
}
