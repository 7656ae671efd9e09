// SPDX-License-Identifier: BSL-1.0
#pragma once

// How busy the machine is, and how much of that is not this process's own doing.

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace apalis::detail::sys {

/// Where to look; tests have files of their own.
struct LoadFiles {
  std::string machine = "/proc/loadavg";
};

/// Tasks of the whole machine that run or could.
struct MachineLoad {
  double average = 0;  // over about the last minute; those that wait for a disk are in it, too
  int runnable = 0;    // now, with the thread that asks
};

/// "0.20 0.18 0.12 1/80 11206"; nothing if it is not written like that.
[[nodiscard]] std::optional<MachineLoad> parse_load(std::string_view text) noexcept;

/// Nothing where that can't be read, as in some containers.
[[nodiscard]] std::optional<MachineLoad> machine_load(const LoadFiles& files = {}) noexcept;

/// What all threads of this process have run for, together.
[[nodiscard]] double process_cpu_seconds() noexcept;

/// What the kernel's one-minute average would be if the work added here were all there is.
class AverageOfOwn {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `task_seconds` of work, spread evenly from `from` to `to`.
  void add(double task_seconds, Time from, Time to) noexcept;
  [[nodiscard]] double at(Time now) const noexcept;

 private:
  double value_ = 0;
  Time time_{};  // when it was that
};

struct CoreCounts {
  int usable = 1;  // by this process
  int online = 1;  // in the machine, usable or not
};
[[nodiscard]] CoreCounts core_counts();

/// Tasks of others that must share the usable cores, for each of these. As many of them as there
/// are other cores find their place there: a container with a quota of 2 on 64 cores is not
/// crowded by the host's first 62 tasks.
[[nodiscard]] double crowding(double tasks_of_others, CoreCounts cores) noexcept;

/// **Threads:** any. **Blocks:** for one read of a small file: 2 µs.
class LoadWatch {
 public:
  using Time = AverageOfOwn::Time;

  /// This process and its workers as of now.
  struct Own {
    int running_workers = 0;
    double cpu_seconds = 0;  // of this process without its workers
  };
  struct Crowding {
    double average = 0;
    double now = 0;
  };

  LoadWatch() : LoadWatch(LoadFiles{}, core_counts()) {}
  LoadWatch(LoadFiles files, CoreCounts cores) : files_(std::move(files)), cores_(cores) {}

  /// By others. Nobody, where nothing can be read.
  [[nodiscard]] Crowding look(Own own, Time now);

  /// Processes of ours were busy for `task_seconds` in all.
  void note_workers(double task_seconds, Time from, Time to) noexcept;

 private:
  std::mutex mutex_;
  const LoadFiles files_;
  const CoreCounts cores_;
  AverageOfOwn own_;
  double cpu_seconds_ = 0;  // that are in own_
  std::optional<Time> last_look_;
};

/// This process's.
[[nodiscard]] LoadWatch& load_watch();

}  // namespace apalis::detail::sys
