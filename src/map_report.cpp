// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <apalis/map_report.hpp>
#include <array>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <string_view>

namespace apalis {
namespace {

// --- A table -------------------------------------------------------------------------------------

/// Three digits and a unit, each of which is a thousand of the one before: "1.23 ms".
template <std::size_t N>
std::string quantity(double value, const std::array<const char*, N>& units) {
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < N; ++unit) value /= 1000;
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, units[unit]);
}

std::string time_text(double seconds) {
  constexpr std::array units{"ns", "us", "ms", "s"};
  return seconds == 0 ? "0 s" : quantity(seconds * 1e9, units);
}

std::string memory_text(std::size_t bytes) {
  constexpr std::array units{"kB", "MB", "GB", "TB"};
  return bytes == 0 ? "-" : quantity(static_cast<double>(bytes) / 1000, units);
}

constexpr std::size_t columns = 9;
using Row = std::array<std::string, columns>;

std::vector<Row> rows_of(const MapReport& report) {
  std::vector<Row> rows{
      {"worker", "pid", "items", "batches", "busy", "idle", "overhead", "peak memory", "restarts"}};
  const auto number = [](auto value) { return fmt::format("{}", value); };
  std::size_t items = 0;
  std::size_t batches = 0;
  for (const auto& worker : report.workers) {
    items += worker.items;
    batches += worker.batches;
    rows.push_back({number(worker.index), worker.pid != 0 ? number(worker.pid) : "-",
                    number(worker.items), number(worker.batches), time_text(worker.busy_seconds),
                    time_text(worker.idle_seconds), time_text(worker.overhead_seconds),
                    memory_text(worker.peak_memory_bytes), number(worker.restarts)});
  }
  if (report.workers.size() > 1)
    rows.push_back({"all", "", number(items), number(batches), time_text(report.busy_seconds()),
                    time_text(report.idle_seconds()), time_text(report.overhead_seconds()),
                    memory_text(report.peak_memory_bytes()), number(report.restarts())});
  const auto percent = [](double share) { return fmt::format("{:.1f} %", 100 * share); };
  rows.push_back({"share", "", "", "", percent(report.busy_share()), percent(report.idle_share()),
                  percent(report.overhead_share()), "", ""});
  return rows;
}

void append_aligned(std::string& text, const std::vector<Row>& rows) {
  std::array<std::size_t, columns> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < columns; ++i)
      fmt::format_to(std::back_inserter(text), "  {:>{}}", row[i], widths[i]);
    text.resize(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
}

// --- JSON ----------------------------------------------------------------------------------------

/// How many bytes the character is that `text` begins with; 0 if it is no UTF-8.
std::size_t character_size(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // Longer than need be, halves of surrogate pairs, beyond the last character.
  const bool refused = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
                       (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
  return refused ? 0 : size;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const auto size = character_size(text);
    const char c = text.front();
    if (size == 0) {
      result += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      result.append(1, '\\').append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(result), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      result.append(text.substr(0, size));
    }
    text.remove_prefix(std::max(size, std::size_t{1}));
  }
  return result + '"';
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::string json_of(const WorkerReport& worker) {
  return fmt::format(
      R"({{"index":{},"pid":{},"items":{},"batches":{},"busy_seconds":{},"idle_seconds":{},)"
      R"("overhead_seconds":{},"peak_memory_bytes":{},"restarts":{}}})",
      worker.index, worker.pid, worker.items, worker.batches, number(worker.busy_seconds),
      number(worker.idle_seconds), number(worker.overhead_seconds), worker.peak_memory_bytes,
      worker.restarts);
}

// --- Sums ----------------------------------------------------------------------------------------

double sum_of(const MapReport& report, double WorkerReport::*member) noexcept {
  return std::accumulate(
      report.workers.begin(), report.workers.end(), 0.0,
      [member](double sum, const WorkerReport& worker) { return sum + worker.*member; });
}

double share_of(const MapReport& report, double seconds) noexcept {
  const double all = report.busy_seconds() + report.idle_seconds() + report.overhead_seconds();
  return all > 0 ? seconds / all : 0;
}

}  // namespace

double MapReport::busy_seconds() const noexcept {
  return sum_of(*this, &WorkerReport::busy_seconds);
}
double MapReport::idle_seconds() const noexcept {
  return sum_of(*this, &WorkerReport::idle_seconds);
}
double MapReport::overhead_seconds() const noexcept {
  return sum_of(*this, &WorkerReport::overhead_seconds);
}
double MapReport::busy_share() const noexcept {
  return share_of(*this, busy_seconds());
}
double MapReport::idle_share() const noexcept {
  return share_of(*this, idle_seconds());
}
double MapReport::overhead_share() const noexcept {
  return share_of(*this, overhead_seconds());
}

std::uint32_t MapReport::restarts() const noexcept {
  std::uint32_t sum = 0;
  for (const auto& worker : workers) sum += worker.restarts;
  return sum;
}

std::size_t MapReport::peak_memory_bytes() const noexcept {
  std::size_t peak = 0;
  for (const auto& worker : workers) peak = std::max(peak, worker.peak_memory_bytes);
  return peak;
}

std::string to_string(const MapReport& report) {
  auto text = fmt::format("{} on {}: {} item{} in {}", report.name.empty() ? "map" : report.name,
                          to_string(report.backend), report.items, report.items == 1 ? "" : "s",
                          time_text(report.wall_seconds));
  if (report.batches > 0) {
    text += fmt::format(", {} batch{}", report.batches, report.batches == 1 ? "" : "es");
    text += report.smallest_batch == report.largest_batch
                ? fmt::format(" of {}", report.largest_batch)
                : fmt::format(" of {} to {} (median {})", report.smallest_batch,
                              report.largest_batch, report.median_batch);
  }
  text += '\n';
  if (!report.workers.empty()) append_aligned(text, rows_of(report));
  return text;
}

std::string to_json(const MapReport& report) {
  auto text = fmt::format(R"({{"name":{},"backend":{},"items":{},"batches":{},"smallest_batch":{},)"
                          R"("median_batch":{},"largest_batch":{},"wall_seconds":{},"workers":[)",
                          quoted(report.name), quoted(to_string(report.backend)), report.items,
                          report.batches, report.smallest_batch, report.median_batch,
                          report.largest_batch, number(report.wall_seconds));
  for (const auto& worker : report.workers)
    (text += &worker == report.workers.data() ? "" : ",") += json_of(worker);
  return text + "]}";
}

}  // namespace apalis
