// SPDX-License-Identifier: BSL-1.0
#include "suite_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ping_pong.hpp"

namespace apalis::bench {
namespace {

constexpr const char* line = "{:<28}{:>11}{:>11}{:>8}  {:<28}{:>7}{:>7}  {}\n";

std::string with_unit(double number, std::string_view unit) {
  if (!std::isfinite(number)) return "none";
  if (unit == "ns" && number >= 1e7) return fmt::format("{:.1f} ms", number / 1e6);
  if (unit == "ns" && number >= 1e4) return fmt::format("{:.1f} us", number / 1e3);
  if (unit == "ns" || unit == "kB") return fmt::format("{:.1f} {}", number, unit);
  return fmt::format("{:.3g} {}", number, unit);
}

std::string with_unit(std::optional<double> number, std::string_view unit) {
  return number ? with_unit(*number, unit) : "";
}

std::string plain(std::optional<double> bound) {
  return bound ? fmt::format("{:g}", *bound) : "";
}

std::string ratio(const Measured& measured) {
  const double ratio = measured.ratio();
  return std::isfinite(ratio) ? fmt::format("{:.3g}", ratio) : "";
}

/// What stands beside it; some references are part of the value's definition and have no figure.
std::string reference(const Row& row, const Measured& measured) {
  if (!std::isfinite(measured.reference_value)) return row.reference;
  return fmt::format("{} {}", row.reference, with_unit(measured.reference_value, row.unit));
}

/// Numbers that JSON has; it knows neither absent ones nor NaN.
nlohmann::json number(std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return nullptr;
  return *value;
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::aim:
      return "met aim";
    case Verdict::must:
      return "met must";
    case Verdict::missed:
      return "missed";
    case Verdict::meaningless:
      return "meaningless";
    case Verdict::none:
      break;
  }
  return "";
}

/// A quick run has no verdicts: its figures mean nothing.
Verdict verdict(const Row& row, const RowResult& result, bool quick) {
  return quick ? Verdict::none : judge(row, result);
}

}  // namespace

void Table::print_head(const Circumstances& run) const {
  const Machine& machine = run.machine;
  fmt::print("apalis {} on {}\n", machine.commit, machine.date);
  fmt::print("  machine    {}\n", machine.summary());
  fmt::print("  build      {}; {}\n", machine.compiler, machine.flags);
  fmt::print("  placement  {} among cpus {}; load average {}\n", placement, machine.cpus_allowed,
             machine.load_average);
  fmt::print("  ping-pong  {:.1f} ns\n", run.ping_pong);
  if (quick_) fmt::print("A quick run shows that the rows work; its figures mean nothing.\n");
  fmt::print("\n");
  fmt::print(fmt::runtime(line), "row", "value", "p99", "ratio", "reference", "must", "aim", "");
}

void Table::print(const Row& row, const RowResult& result) {
  const Measured& measured = result.measured;
  const Verdict judged = verdict(row, result, quick_);
  count(judged, result);
  fmt::print(fmt::runtime(line), row.name, with_unit(measured.value, row.unit),
             with_unit(measured.p99, row.unit), ratio(measured), reference(row, measured),
             plain(row.target.must), plain(row.target.aim),
             fmt::format("{}{}{}", name_of(judged), result.busy() ? " (busy)" : "",
                         result.cores_shared() ? " (shared)" : ""));
  std::fflush(stdout);
}

void Table::count(Verdict verdict, const RowResult& result) {
  met_ += verdict == Verdict::aim || verdict == Verdict::must;
  missed_ += verdict == Verdict::missed;
  shared_ += result.cores_shared();
  busy_ += result.busy();
}

void Table::print_foot(double seconds) const {
  fmt::print("\n{:.0f} s; {} targets met, {} missed\n", seconds, met_, missed_);
  if (shared_ > 0) {
    fmt::print(
        "{} rows marked shared: both virtual cores shared a physical one "
        "(ping-pong below {} ns), and ratios between processes mean nothing.\n",
        shared_, shared_core_ping_pong);
  }
  if (busy_ > 0) {
    fmt::print(
        "{} rows marked busy: something else used the cores (ping-pong above {} ns). "
        "Repeat them on a quiet machine.\n",
        busy_, busy_ping_pong);
  }
}

nlohmann::json to_json(const Row& row, const RowResult& result, bool quick) {
  const Measured& measured = result.measured;
  return {{"name", row.name},
          {"value", number(measured.value)},
          {"unit", row.unit},
          {"p99", number(measured.p99)},
          {"reference", row.reference},
          {"reference_value", number(measured.reference_value)},
          {"reference_p99", number(measured.reference_p99)},
          {"ratio", number(measured.ratio())},
          {"better", row.better == Better::lower ? "lower" : "higher"},
          {"must", number(row.target.must)},
          {"aim", number(row.target.aim)},
          {"judged", row.target.judged == Target::Judged::value ? "value" : "ratio"},
          {"must_excess", number(row.target.must_excess)},
          {"verdict", name_of(verdict(row, result, quick))},
          {"fastest_ping_pong", number(result.fastest_ping_pong)},
          {"slowest_ping_pong", number(result.slowest_ping_pong)},
          {"cores_shared", result.cores_shared()},
          {"busy", result.busy()}};
}

nlohmann::json to_json(const Circumstances& run) {
  const Machine& machine = run.machine;
  return {{"machine", machine.summary()},
          {"cpu", machine.cpu},
          {"cpus", machine.cpus},
          {"cpus_allowed", machine.cpus_allowed},
          {"kernel", machine.kernel},
          {"memory", machine.memory},
          {"load_average", machine.load_average},
          {"compiler", machine.compiler},
          {"flags", machine.flags},
          {"commit", machine.commit},
          {"date", machine.date},
          {"placement", placement},
          {"ping_pong", run.ping_pong},
          {"quick", run.quick}};
}

}  // namespace apalis::bench
