// SPDX-License-Identifier: BSL-1.0
#pragma once

// Whether the kernel's out-of-memory killer may be who sent a SIGKILL.
//
//   auto& watch = oom_watch();                           // before anything dies
//   if (watch.judge() == OomVerdict::likely) …           // after somebody did

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace apalis::detail::sys {

/// Where to look; tests have files of their own.
struct OomFiles {
  std::string groups = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
  std::string machine = "/proc/vmstat";
};

/// The kernel's count of its kills, and of whom.
struct OomKills {
  enum class Of { nobody, group, machine };  // nobody: it does not tell
  Of of = Of::nobody;
  std::uint64_t count = 0;
};

/// In this process's control group (v2, v1) where that is told, else in the whole machine.
[[nodiscard]] OomKills oom_kills(const OomFiles& files = {});

/// The number behind `name` in lines of "name number"; nothing if there is no such line.
[[nodiscard]] std::optional<std::uint64_t> counter_in(std::string_view text,
                                                      std::string_view name) noexcept;

enum class OomVerdict {
  no,
  possible,  // the machine counted a kill; it may have been anybody's
  likely,    // this control group did
};

/// Compares the count with the one at its making.
/// **Threads:** any. **Throws** bad_alloc. Both functions read two small files: some 30 µs.
class OomWatch {
 public:
  using Clock = std::chrono::steady_clock;

  OomWatch() : OomWatch(OomFiles{}) {}
  explicit OomWatch(OomFiles files) : files_(std::move(files)), seen_(oom_kills(files_)) {}

  /// Whether a process that died just now by an unexplained SIGKILL was such a victim. Each counted
  /// kill explains one death, and none that comes much later.
  [[nodiscard]] OomVerdict judge(Clock::time_point now = Clock::now());

 private:
  std::mutex mutex_;
  const OomFiles files_;
  OomKills seen_;
  std::uint64_t unexplained_ = 0;  // kills that no death was blamed on yet
  Clock::time_point noticed_;      // when they were
};

/// This process's watch; the first call takes the count to compare with.
[[nodiscard]] OomWatch& oom_watch();

}  // namespace apalis::detail::sys
