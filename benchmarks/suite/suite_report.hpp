// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two faces of a run: a table for people, printed row by row, and JSON for programs.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "row.hpp"

namespace apalis::bench {

/// What holds for the whole run.
struct Circumstances {
  Machine machine;
  double ping_pong;  ///< ns, before the first row
  bool quick;
};

class Table {
 public:
  explicit Table(bool quick) : quick_(quick) {}

  void print_head(const Circumstances& circumstances) const;
  void print(const Row& row, const RowResult& result);
  void print_foot(double seconds) const;

 private:
  void count(Verdict verdict, const RowResult& result);

  bool quick_;
  int met_ = 0;
  int missed_ = 0;
  int shared_ = 0;
  int busy_ = 0;
};

nlohmann::json to_json(const Row& row, const RowResult& result, bool quick);
nlohmann::json to_json(const Circumstances& circumstances);

}  // namespace apalis::bench
