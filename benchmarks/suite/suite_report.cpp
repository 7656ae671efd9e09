// SPDX-License-Identifier: BSL-1.0
#include "suite_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

namespace apalis::bench {
namespace {

constexpr const char* line = "{:<26}{:>11}{:>11}{:>8}  {:<28}{:>7}{:>7}  {}\n";

std::string with_unit(double number, std::string_view unit) {
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
    case Verdict::none:
      break;
  }
  return "";
}

/// The verdict, unless the run or the machine deprives it of its meaning.
std::string_view verdict(const Row& row, const Measured& measured, const Circumstances& run) {
  if (row.needs_two_cores && run.cores_shared()) return "meaningless";
  return run.quick ? "" : name_of(judge(row, measured));
}

}  // namespace

Table::Table(const Circumstances& circumstances) : circumstances_(circumstances) {}

void Table::print_head() const {
  const auto& [machine, ping_pong, quick] = circumstances_;
  fmt::print("apalis {} on {}\n", machine.commit, machine.date);
  fmt::print("  machine    {}\n", machine.summary());
  fmt::print("  build      {}; {}\n", machine.compiler, machine.flags);
  fmt::print("  placement  {} among cpus {}; load average {}\n", placement, machine.cpus_allowed,
             machine.load_average);
  fmt::print("  ping-pong  {:.1f} ns\n", ping_pong);
  if (circumstances_.cores_shared()) {
    fmt::print(
        "Both virtual cores share a physical one (ping-pong below {} ns): "
        "ratios between processes mean nothing in this run.\n",
        shared_core_ping_pong);
  }
  if (quick) fmt::print("A quick run shows that the rows work; its figures mean nothing.\n");
  fmt::print("\n");
  fmt::print(fmt::runtime(line), "row", "value", "p99", "ratio", "reference", "must", "aim", "");
}

void Table::print(const Row& row, const Measured& measured) {
  const std::string reference =
      fmt::format("{} {}", row.reference, with_unit(measured.reference_value, row.unit));
  fmt::print(fmt::runtime(line), row.name, with_unit(measured.value, row.unit),
             with_unit(measured.p99, row.unit), ratio(measured), reference, plain(row.target.must),
             plain(row.target.aim), mark(row, measured));
  std::fflush(stdout);
}

std::string Table::mark(const Row& row, const Measured& measured) {
  const std::string_view text = verdict(row, measured, circumstances_);
  met_ += text == name_of(Verdict::aim) || text == name_of(Verdict::must);
  missed_ += text == name_of(Verdict::missed);
  return std::string(text);
}

void Table::print_foot(double seconds, double ping_pong_after) const {
  fmt::print("\n{:.0f} s; {} targets met, {} missed; ping-pong afterwards {:.1f} ns\n", seconds,
             met_, missed_, ping_pong_after);
  if (ping_pong_after < shared_core_ping_pong && !circumstances_.cores_shared()) {
    fmt::print(
        "The host moved both virtual cores onto one physical core during the run: "
        "repeat it.\n");
  }
}

nlohmann::json to_json(const Row& row, const Measured& measured, const Circumstances& run) {
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
          {"verdict", verdict(row, measured, run)}};
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
          {"cores_shared", run.cores_shared()},
          {"quick", run.quick}};
}

}  // namespace apalis::bench
