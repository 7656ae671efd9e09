// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/progress.hpp>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"

using apalis::Progress;
using apalis::ProgressMeter;
using apalis::ProgressReport;
using apalis::to_bar;
using apalis::to_line;
using apalis::detail::sys::Fd;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

constexpr ProgressMeter::Clock::time_point start{1h};

/// Somewhere to write, and what was written there.
struct Ends {
  Fd written;
  Fd read;

  [[nodiscard]] std::string take() const {
    std::string text;
    std::array<char, 4096> some{};
    for (;;) {
      const auto count = ::read(read.get(), some.data(), some.size());
      if (count <= 0) return text;
      text.append(some.data(), static_cast<std::size_t>(count));
    }
  }
};

Ends pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2");
  return {Fd(ends[1]), Fd(ends[0])};
}

/// A terminal, which leaves newlines as they are.
Ends terminal(unsigned short columns) {
  int outer = -1;
  int inner = -1;
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  if (::openpty(&outer, &inner, nullptr, nullptr, &size) != 0) throw std::runtime_error("openpty");
  termios modes{};
  if (::tcgetattr(inner, &modes) != 0) throw std::runtime_error("tcgetattr");
  ::cfmakeraw(&modes);
  ::tcsetattr(inner, TCSANOW, &modes);
  ::fcntl(outer, F_SETFL, O_NONBLOCK);
  return {Fd(inner), Fd(outer)};
}

std::size_t count_of(const std::string& text, char wanted) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), wanted));
}

ProgressReport some() {
  return {.done = 1200, .total = 5000, .seconds = 3, .rate = 400, .eta_seconds = 9.5};
}

/// A terminal of these tests is one whatever the tests run in.
struct Term {
  explicit Term(const char* kind) { ::setenv("TERM", kind, 1); }
};

}  // namespace

TEST_CASE("a bar fills what room there is, and no more", "[progress]") {
  CHECK(to_bar(some(), 79) ==
        " 24 % [=========>                              ]  1200/5000  400/s  9.5 s left");
  CHECK(to_bar(some(), 60) == " 24 % [=====>                ]  1200/5000  400/s  9.5 s left");
  CHECK(to_bar(some(), 40) == " 24 %  1200/5000  400/s  9.5 s left");
  CHECK(to_bar(some(), 20) == "1200/5000  400/s");
  CHECK(to_bar(some(), 10) == "1200/5000");
  CHECK(to_bar(some(), 5).empty());
  for (int columns = -1; columns < 200; ++columns)
    REQUIRE(to_bar(some(), columns).size() <= static_cast<std::size_t>(std::max(columns, 0)));
}

TEST_CASE("a bar is as long at the start as at the end", "[progress]") {
  const ProgressReport first{.done = 0, .total = 1000, .eta_seconds = {}};
  CHECK(to_bar(first, 60) == "  0 % [>                                       ]     0/1000");
  const ProgressReport last{.done = 1000,
                            .total = 1000,
                            .seconds = 75,
                            .rate = 13.333,
                            .eta_seconds = 0,
                            .finished = true};
  CHECK(to_bar(last, 72) ==
        "100 % [=======================================]  1000/1000  13.3/s  1:15");
}

TEST_CASE("without a total there is a count", "[progress]") {
  const ProgressReport report{.done = 1200, .seconds = 3, .rate = 400};
  CHECK(to_bar(report, 79) == "1200  400/s  3.0 s");
  CHECK(to_line(report) == "apalis: 1200, 400/s, 3.0 s");
}

TEST_CASE("progress in a file is a line of words", "[progress]") {
  CHECK(to_line(some()) == "apalis: 1200/5000 (24 %), 400/s, 9.5 s left");
  auto last = some();
  last.finished = true;
  last.done = 5000;
  CHECK(to_line(last) == "apalis: 5000/5000 (100 %), 400/s, 3.0 s");
}

TEST_CASE("all but one of very many is not 100 percent", "[progress]") {
  const ProgressReport report{.done = 999'999, .total = 1'000'000};
  CHECK_THAT(to_bar(report, 79), ContainsSubstring(" 99 %"));
  CHECK_THAT(to_line(report), ContainsSubstring("(99 %)"));
}

TEST_CASE("totals that are wrong or zero are borne", "[progress]") {
  const ProgressReport more{.done = 7, .total = 5};
  CHECK_THAT(to_bar(more, 79), ContainsSubstring("100 % [====="));
  CHECK_THAT(to_bar(more, 79), ContainsSubstring("7/5"));
  const ProgressReport none{.done = 0, .total = 0, .finished = true};
  CHECK_THAT(to_bar(none, 79), ContainsSubstring("100 %"));
  CHECK_THAT(to_line(none), ContainsSubstring("0/0 (100 %)"));
}

TEST_CASE("figures of any size stay short", "[progress]") {
  const auto line = [](double rate, double left) {
    return to_line({.done = 1, .total = 2, .seconds = 1, .rate = rate, .eta_seconds = left});
  };
  CHECK_THAT(line(999.4, 59.4), ContainsSubstring(", 999/s, 59 s left"));
  CHECK_THAT(line(999.6, 59.6), ContainsSubstring(", 1k/s, 1:00 left"));
  CHECK_THAT(line(12'345'678, 3599.6), ContainsSubstring(", 12.3M/s, 1:00:00 left"));
  CHECK_THAT(line(0.0123, 9.96), ContainsSubstring(", 0.0123/s, 10 s left"));
  CHECK_THAT(line(3e15, 1e300), ContainsSubstring(", > 1000 h left"));
}

TEST_CASE("a terminal shows a bar that is redrawn in place", "[progress]") {
  const Term term("xterm");
  const auto ends = terminal(60);
  ProgressMeter meter(true, ends.written.get());
  meter.start(100, start);
  CHECK(ends.take().empty());
  meter.advance(25, start + 500ms);
  CHECK(ends.take() == "\r 25 % [======>                 ]   25/100  50/s  1.5 s left\033[K");
  for (auto time = 500ms; time < 1500ms; time += 1ms) meter.advance(0, start + time);
  const auto redrawn = ends.take();
  CHECK(count_of(redrawn, '\r') == 9);
  CHECK(count_of(redrawn, '\n') == 0);
  meter.advance(75, start + 1501ms);
  (void)ends.take();
  meter.finish(start + 2s);
  CHECK(ends.take() == "\r100 % [=============================]  100/100  50/s  2.0 s\033[K\n");
  meter.finish(start + 3s);
  meter.advance(1, start + 4s);
  CHECK(ends.take().empty());
}

TEST_CASE("a bar follows its terminal's width", "[progress]") {
  const Term term("xterm");
  const auto ends = terminal(100);
  ProgressMeter meter(true, ends.written.get());
  meter.start(100, start);
  meter.advance(50, start + 1s);
  CHECK(ends.take().size() > 60);
  winsize size{};
  size.ws_col = 20;
  REQUIRE(::ioctl(ends.written.get(), TIOCSWINSZ, &size) == 0);
  meter.advance(0, start + 2s);
  CHECK(ends.take() == "\r 50/100  25/s\033[K");
  meter.finish(start + 3s);
}

TEST_CASE("a bar that is given up leaves its line", "[progress]") {
  const Term term("xterm");
  const auto ends = terminal(60);
  {
    ProgressMeter meter(true, ends.written.get());
    meter.start(100, start);
    meter.advance(50, start + 1s);
    (void)ends.take();
  }
  CHECK(ends.take() == "\n");
}

TEST_CASE("a terminal that can't redraw gets lines", "[progress]") {
  const Term term("dumb");
  const auto ends = terminal(60);
  ProgressMeter meter(true, ends.written.get());
  meter.start(100, start);
  meter.finish(start + 1s);
  CHECK(ends.take() == "apalis: 0/100 (0 %), 0/s, 1.0 s\n");
}

TEST_CASE("a pipe gets a line each ten seconds and a last one", "[progress]") {
  const auto ends = pipe();
  ProgressMeter meter(true, ends.written.get());
  meter.start(100, start);
  for (int second = 1; second <= 25; ++second) meter.advance(4, start + second * 1s);
  meter.finish(start + 25s);
  CHECK(ends.take() ==
        "apalis: 40/100 (40 %), 4/s, 15 s left\n"
        "apalis: 80/100 (80 %), 4/s, 5.0 s left\n"
        "apalis: 100/100 (100 %), 4/s, 25 s\n");
}

TEST_CASE("a callback gets reports, ten a second at most, and the last", "[progress]") {
  std::vector<ProgressReport> reports;
  ProgressMeter meter([&](const ProgressReport& report) { reports.push_back(report); });
  meter.start(1000, start);
  for (auto time = 1ms; time <= 1000ms; time += 1ms) meter.advance(1, start + time);
  REQUIRE(reports.size() == 10);
  CHECK(reports[4].done == 500);
  CHECK(reports[4].total == 1000);
  CHECK(reports[4].seconds == Catch::Approx(0.5));
  CHECK(reports[4].rate == Catch::Approx(1000));
  REQUIRE(reports[4].eta_seconds.has_value());
  CHECK(*reports[4].eta_seconds == Catch::Approx(0.5));
  CHECK_FALSE(reports[4].finished);
  meter.finish(start + 1s);
  REQUIRE(reports.size() == 11);
  CHECK(reports.back().finished);
  CHECK(reports.back().eta_seconds == 0);
}

TEST_CASE("what is not known is not reported", "[progress]") {
  std::vector<ProgressReport> reports;
  ProgressMeter meter([&](const ProgressReport& report) { reports.push_back(report); });
  meter.start(std::nullopt, start);
  meter.advance(5, start + 1s);
  meter.start(10, start + 1s);  // once more, from zero
  meter.advance(0, start + 2s);
  meter.finish(start + 1s);  // no time at all, as a clock may have it
  REQUIRE(reports.size() == 3);
  CHECK_FALSE(reports[0].total.has_value());
  CHECK_FALSE(reports[0].eta_seconds.has_value());
  CHECK(reports[1].done == 0);
  CHECK_FALSE(reports[1].eta_seconds.has_value());
  CHECK(reports[2].seconds == 0);
  CHECK(reports[2].rate == 0);
}

TEST_CASE("what a callback throws comes to the caller, and the meter goes on", "[progress]") {
  int calls = 0;
  ProgressMeter meter([&](const ProgressReport&) {
    if (++calls == 1) throw std::runtime_error("enough");
  });
  meter.start(10, start);
  CHECK_THROWS_WITH(meter.advance(1, start + 1s), "enough");
  CHECK_NOTHROW(meter.advance(1, start + 1s));
  CHECK_NOTHROW(meter.finish(start + 2s));
  CHECK(calls == 2);
  CHECK(meter.done() == 2);
}

TEST_CASE("no progress is shown by default, nor with an empty callback", "[progress]") {
  const auto ends = pipe();
  for (const Progress& progress : {Progress{}, Progress{false}, Progress{Progress::Callback{}}}) {
    ProgressMeter meter(progress, ends.written.get());
    meter.start(10, start);
    meter.advance(5, start + 1h);
    meter.advance(5);
    meter.finish(start + 2h);
    CHECK(meter.done() == 10);
  }
  CHECK(ends.take().empty());
}

TEST_CASE("progress is a bool or a function, and no pointer", "[progress]") {
  STATIC_REQUIRE(std::is_convertible_v<bool, Progress>);
  STATIC_REQUIRE(std::is_convertible_v<void (*)(const ProgressReport&), Progress>);
  STATIC_REQUIRE(std::is_convertible_v<void (*)(ProgressReport), Progress>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Progress, const char*>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Progress, int>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Progress, void (*)(int)>);
  struct Options {
    Progress progress = {};
  };
  const Options shown{.progress = true};
  CHECK(shown.progress.is_shown());
  const Options called{.progress = [](const ProgressReport&) {}};
  CHECK(called.progress.callback());
  CHECK_FALSE(called.progress.is_shown());
}

TEST_CASE("a meter reads the time itself", "[progress]") {
  int calls = 0;
  ProgressMeter meter([&](const ProgressReport&) { ++calls; });
  meter.start(std::nullopt);
  const auto before = ProgressMeter::Clock::now();
  while (calls == 0) meter.advance(1);
  const auto taken = ProgressMeter::Clock::now() - before;
  CHECK(taken > 80ms);
  CHECK(taken < 10s);
}

TEST_CASE("progress that can't be written is not shown", "[progress]") {
  auto ends = pipe();
  ends.written.reset();
  ProgressMeter meter(true, ends.read.get());  // the end that can't be written to
  meter.start(10, start);
  CHECK_NOTHROW(meter.advance(5, start + 1h));
  CHECK_NOTHROW(meter.advance(5, start + 2h));
  CHECK_NOTHROW(meter.finish(start + 3h));
}
