// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/incarnation.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

namespace apalis::detail::sys {
namespace {

/// What /proc/PID/stat says; see proc(5).
struct Stat {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start = 0;
};

constexpr int state_field = 3;
constexpr int threads_field = 20;
constexpr int start_field = 22;

/// "/proc/PID/stat", for a caller that may be short of memory.
std::array<char, 32> stat_path(pid_t pid) noexcept {
  std::array<char, 32> path{};
  constexpr std::string_view before = "/proc/";
  constexpr std::string_view after = "/stat";
  char* at = path.data() + before.copy(path.data(), before.size());
  at = std::to_chars(at, path.data() + path.size(), pid).ptr;
  after.copy(at, after.size());
  return path;
}

std::uint64_t number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<Stat> read_stat(pid_t pid) noexcept {
  if (injected_fault(Call::find_process) != 0) return std::nullopt;
  const Fd file{::open(stat_path(pid).data(), O_RDONLY | O_CLOEXEC)};
  if (!file) return std::nullopt;
  std::array<char, 1024> buffer;
  ssize_t size = 0;
  do size = ::read(file.get(), buffer.data(), buffer.size());
  while (size < 0 && errno == EINTR);
  if (size <= 0) return std::nullopt;
  std::string_view text{buffer.data(), static_cast<std::size_t>(size)};
  const auto name_end = text.rfind(") ");  // the name before it may hold anything
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 2);
  Stat stat;
  for (int field = state_field; field <= start_field && !text.empty(); ++field) {
    const auto word = text.substr(0, text.find(' '));
    if (field == state_field && !word.empty()) stat.state = word[0];
    if (field == threads_field) stat.threads = number(word);
    if (field == start_field) stat.start = number(word);
    text.remove_prefix(word.size() < text.size() ? word.size() + 1 : word.size());
  }
  return stat;
}

constexpr std::uint32_t start_of(Incarnation process) noexcept {
  return static_cast<std::uint32_t>(process >> 32);
}

}  // namespace

Incarnation incarnation_of(pid_t pid) noexcept {
  const auto stat = read_stat(pid);
  return (stat ? stat->start << 32 : 0) | static_cast<std::uint32_t>(pid);
}

Incarnation own_incarnation() noexcept {
  static constinit std::atomic<Incarnation> own{0};
  static constinit std::atomic<std::uint64_t> stamp{0};
  const auto here = process_stamp();
  // Partner: the release below. All threads of a process find the same.
  if (stamp.load(std::memory_order_acquire) == here) return own.load(std::memory_order_relaxed);
  const auto found = incarnation_of(::getpid());
  own.store(found, std::memory_order_relaxed);
  stamp.store(here, std::memory_order_release);
  return found;
}

bool has_ended(Incarnation process) noexcept {
  const pid_t pid = pid_of(process);
  if (pid <= 0) return false;
  if (const auto stat = read_stat(pid)) {
    if (start_of(process) != 0 && start_of(process) != static_cast<std::uint32_t>(stat->start))
      return true;
    // The process may have outlived its first thread.
    return (stat->state == 'Z' && stat->threads <= 1) || stat->state == 'X';
  }
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace apalis::detail::sys
