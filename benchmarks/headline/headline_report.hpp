// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the experiment leaves: a table while it runs, headline.json for programs, and headline.dat
// for headline.gnuplot.

#include <cstddef>
#include <string>
#include <vector>

#include "../suite/machine.hpp"
#include "experiment.hpp"

namespace apalis::bench {

/// Prints each line as soon as it is measured; on a terminal, says what is being measured.
class HeadlineTable : public Audience {
 public:
  explicit HeadlineTable(std::size_t lengths);

  void begin(const Panel& panel) override;
  void next(const Panel& panel, std::chrono::nanoseconds task, int repetition, int of) override;
  void measured(const Panel& panel) override;

 private:
  std::size_t lengths_;
  bool terminal_;
};

/// The times of rounds; the speed-ups are printed already.
void print_times(const Panel& panel);

struct HeadlineRun {
  Machine machine;
  std::size_t cores;
  double seconds;
  bool quick;
};

void write_json(const std::string& path, const HeadlineRun& run, const std::vector<Panel>& panels);
void write_data(const std::string& path, const HeadlineRun& run, const std::vector<Panel>& panels);

}  // namespace apalis::bench
