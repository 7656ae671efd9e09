// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <apalis/detail/sys/recent_time.hpp>
#include <apalis/detail/sys/terminal.hpp>
#include <apalis/progress.hpp>
#include <array>
#include <cmath>
#include <initializer_list>
#include <utility>

namespace apalis {
namespace {

namespace sys = detail::sys;

/// "12 s", "3:07", "1:00:00".
std::string duration(double seconds) {
  constexpr double longest = 1000.0 * 3600;
  if (!(seconds < longest)) return "> 1000 h";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

/// Three digits, "12.3k/s".
std::string rate(double per_second) {
  std::size_t thousands = 0;
  constexpr std::array units{"", "k", "M", "G", "T"};
  for (; per_second >= 999.5 && thousands + 1 < units.size(); ++thousands) per_second /= 1000;
  return fmt::format("{:.3g}{}/s", per_second, units[thousands]);
}

double fraction(const ProgressReport& report) {
  const auto total = *report.total;
  return report.done >= total ? 1 : static_cast<double>(report.done) / static_cast<double>(total);
}

/// Rounded down: 100 % is all.
std::string percent(const ProgressReport& report) {
  return fmt::format("{:3} %", static_cast<int>(100 * fraction(report)));
}

/// As wide at the first as at the last.
std::string counts(const ProgressReport& report) {
  if (!report.total) return fmt::format("{}", report.done);
  const auto total = fmt::format("{}", *report.total);
  return fmt::format("{:{}}/{}", report.done, total.size(), total);
}

std::string time_of(const ProgressReport& report) {
  if (report.finished || !report.total) return duration(report.seconds);
  return report.eta_seconds ? duration(*report.eta_seconds) + " left" : "";
}

/// "[=====>    ]" of `width` characters.
std::string bar(double fraction, std::size_t width) {
  const auto inner = width - 2;
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(inner));
  std::string text(inner, ' ');
  std::fill_n(text.begin(), full, '=');
  if (full < inner) text[full] = '>';
  return '[' + text + ']';
}

/// The first of the parts, as many as there is room for.
std::string join(std::initializer_list<std::string> parts, std::size_t columns) {
  std::string line;
  for (const auto& part : parts) {
    if (part.empty()) continue;
    const std::size_t gap = line.empty() ? 0 : 2;
    if (line.size() + gap + part.size() > columns) break;
    line.append(gap, ' ').append(part);
  }
  return line;
}

}  // namespace

std::string to_bar(const ProgressReport& report, int columns) {
  constexpr std::size_t narrowest = 8;
  constexpr std::size_t widest = 42;
  const auto room = static_cast<std::size_t>(std::max(columns, 0));
  const auto speed = report.seconds > 0 ? rate(report.rate) : "";
  auto figures = join({counts(report), speed, time_of(report)}, room);
  if (!report.total) return figures;

  const auto percents = percent(report);
  if (percents.size() + 2 + figures.size() > room) return figures;
  const auto left = room - figures.size() - percents.size() - 2;
  if (left < 1 + narrowest) return percents + "  " + figures;
  return percents + ' ' + bar(fraction(report), std::min(left - 1, widest)) + "  " + figures;
}

std::string to_line(const ProgressReport& report) {
  std::string line = "apalis: ";
  line += report.total ? fmt::format("{}/{} ({:.0f} %)", report.done, *report.total,
                                     std::floor(100 * fraction(report)))
                       : fmt::format("{}", report.done);
  if (report.seconds > 0) line += ", " + rate(report.rate);
  if (const auto time = time_of(report); !time.empty()) line += ", " + time;
  return line;
}

ProgressMeter::ProgressMeter(Progress progress, int fd) : progress_(std::move(progress)), fd_(fd) {
  if (progress_.callback()) {
    manner_ = Manner::callback;
  } else if (progress_.is_shown()) {
    manner_ = sys::can_redraw(fd) ? Manner::bar : Manner::lines;
  }
}

ProgressMeter::~ProgressMeter() {
  end_line();
}

void ProgressMeter::start(std::optional<std::size_t> total, Clock::time_point now) {
  end_line();
  done_ = 0;
  total_ = total;
  start_ = now;
  is_running_ = true;
  if (manner_ != Manner::silent)
    next_ = now + (manner_ == Manner::lines ? Clock::duration(line_pause) : redraw_pause);
}

void ProgressMeter::finish(Clock::time_point now) {
  if (!std::exchange(is_running_, false)) return;
  if (manner_ != Manner::silent) report(now, true);
}

ProgressMeter::Clock::time_point ProgressMeter::recent_time() noexcept {
  return sys::recent_time();
}

void ProgressMeter::report(Clock::time_point now, bool finished) {
  const auto pause = manner_ == Manner::lines ? Clock::duration(line_pause) : redraw_pause;
  next_ = finished ? never : now + pause;
  ProgressReport report{.done = done_, .total = total_, .finished = finished};
  report.seconds = std::max(std::chrono::duration<double>(now - start_).count(), 0.0);
  if (report.seconds > 0) report.rate = static_cast<double>(done_) / report.seconds;
  if (total_ && done_ >= *total_) {
    report.eta_seconds = 0;
  } else if (total_ && report.rate > 0) {
    report.eta_seconds = static_cast<double>(*total_ - done_) / report.rate;
  }
  if (manner_ == Manner::callback) {
    progress_.callback()(report);
  } else {
    show(report);
  }
}

void ProgressMeter::show(const ProgressReport& report) {
  std::string text;
  if (manner_ == Manner::bar) {
    // One column less: some terminals begin a line once the last one is written to.
    text = '\r' + to_bar(report, sys::terminal_columns(fd_) - 1) + "\033[K";
    line_is_open_ = !report.finished;
  } else {
    text = to_line(report);
  }
  if (!line_is_open_) text += '\n';
  if (!sys::write_all(fd_, text)) {  // where it leads to is gone
    manner_ = Manner::silent;
    line_is_open_ = false;
    next_ = never;
  }
}

void ProgressMeter::end_line() noexcept {
  if (std::exchange(line_is_open_, false)) (void)sys::write_all(fd_, "\n");
}

}  // namespace apalis
