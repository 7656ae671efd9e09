// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a long operation says how far it has come.
//
//   apalis::Engine engine{apalis::Backend::processes, {.progress = true}};
//   apalis::Engine engine{…, {.progress = [](const apalis::ProgressReport& r) { show(r); }}};
//
//   apalis::ProgressMeter meter{true};                // for a loop of one's own
//   meter.start(files.size());
//   for (auto& file : files) { convert(file); meter.advance(1); }
//   meter.finish();

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace apalis {

/// How far an operation has come.
struct ProgressReport {
  std::size_t done = 0;
  std::optional<std::size_t> total = {};     ///< absent where it is not known
  double seconds = 0;                        ///< since the start
  double rate = 0;                           ///< done a second, over all of these
  std::optional<double> eta_seconds = {};    ///< until the end, at that rate; absent if unknown
  bool finished = false;                     ///< this is the last report
};

/// Whether and how it is reported. To stderr, if true: on a terminal a bar that is redrawn in
/// place, at most ten times a second, and in a pipe or a file a line, at most one each 10 s; in both
/// the end as well. A function is called as often as a bar is drawn, and at the end.
class Progress {
 public:
  using Callback = std::function<void(const ProgressReport&)>;

  /// Not at all.
  Progress() noexcept = default;

  template <std::same_as<bool> Shown>  // no pointer, which would be true
  Progress(Shown shown) noexcept : shown_(shown) {}  // NOLINT(google-explicit-constructor)

  /// What it throws, the operation throws.
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Progress> &&
             std::invocable<std::remove_cvref_t<F>&, const ProgressReport&>)
  Progress(F&& callback)  // NOLINT(google-explicit-constructor)
      : callback_(std::forward<F>(callback)) {}

  /// Whether stderr tells.
  [[nodiscard]] bool is_shown() const noexcept { return shown_; }
  /// Empty if there is none.
  [[nodiscard]] const Callback& callback() const noexcept { return callback_; }

 private:
  bool shown_ = false;
  Callback callback_;
};

/// Counts, and reports when it is time. Reports come from within its functions only: call
/// advance(0) now and then where nothing is done for long.
///
/// **Owns** nothing but the line that it draws: one that goes before finish() leaves it as it
/// stands and begins another. Two at once on one terminal draw over each other.
/// **Threads:** one at a time.
/// **Blocks:** as writing to stderr does. advance() takes some nanoseconds where nothing is due.
/// What can't be written is not shown.
/// **Throws** what the callback throws; bad_alloc.
class ProgressMeter {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds redraw_pause{100};
  static constexpr std::chrono::seconds line_pause{10};

  /// `fd`: where to show it.
  explicit ProgressMeter(Progress progress, int fd = 2);
  ProgressMeter(const ProgressMeter&) = delete;
  ProgressMeter& operator=(const ProgressMeter&) = delete;
  ~ProgressMeter();

  /// From zero, also once more.
  void start(std::optional<std::size_t> total, Clock::time_point now = Clock::now());

  /// `count` more are done.
  void advance(std::size_t count) {
    done_ += count;
    if (is_due_ever()) advance(0, recent_time());
  }
  /// For a caller that knows the time.
  void advance(std::size_t count, Clock::time_point now) {
    done_ += count;
    if (now >= next_) [[unlikely]]
      report(now, false);
  }

  /// The last report, be all done or not. Once for each start().
  void finish(Clock::time_point now = Clock::now());

  [[nodiscard]] std::size_t done() const noexcept { return done_; }

 private:
  enum class Manner { silent, callback, bar, lines };
  static constexpr auto never = Clock::time_point::max();

  [[nodiscard]] bool is_due_ever() const noexcept { return next_ != never; }
  /// The time, to a few milliseconds.
  [[nodiscard]] static Clock::time_point recent_time() noexcept;
  void report(Clock::time_point now, bool finished);
  void show(const ProgressReport& report);
  void end_line() noexcept;

  Progress progress_;
  int fd_;
  Manner manner_ = Manner::silent;
  bool is_running_ = false;
  bool line_is_open_ = false;
  std::size_t done_ = 0;
  std::optional<std::size_t> total_;
  Clock::time_point start_;
  Clock::time_point next_ = never;
};

/// One line of at most `columns` characters: percent, bar, counts, rate and remaining time, as far
/// as they are known and there is room. A finished one tells the time taken instead.
[[nodiscard]] std::string to_bar(const ProgressReport& report, int columns);

/// The same as a line for a file, without a bar.
[[nodiscard]] std::string to_line(const ProgressReport& report);

}  // namespace apalis
