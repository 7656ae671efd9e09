// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two faces of a run: a table for people, printed row by row, and JSON for programs.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "ping_pong.hpp"
#include "row.hpp"

namespace apalis::bench {

/// What held for the whole run.
struct Circumstances {
  Machine machine;
  double ping_pong;  ///< ns, before the first row
  bool quick;

  /// Both virtual cores share a physical one: ratios between processes mean nothing.
  [[nodiscard]] bool cores_shared() const { return ping_pong < shared_core_ping_pong; }
};

class Table {
 public:
  explicit Table(const Circumstances& circumstances);
  void print_head() const;
  void print(const Row& row, const Measured& measured);
  void print_foot(double seconds, double ping_pong_after) const;

 private:
  [[nodiscard]] std::string mark(const Row& row, const Measured& measured);

  const Circumstances& circumstances_;
  int met_ = 0;
  int missed_ = 0;
};

nlohmann::json to_json(const Row& row, const Measured& measured, const Circumstances&);
nlohmann::json to_json(const Circumstances& circumstances);

}  // namespace apalis::bench
