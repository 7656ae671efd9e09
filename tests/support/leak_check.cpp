// SPDX-License-Identifier: BSL-1.0
#include "leak_check.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>

#include "sanitizers.hpp"

namespace apalis::test {
namespace {

// A sanitizer's runtime maps and unmaps on its own account.
constexpr bool mappings_are_ours = !under_sanitizer;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

template <class F>
void for_each_entry(const char* path, F f) {
  const std::unique_ptr<DIR, CloseDirectory> directory{::opendir(path)};
  if (!directory) return;
  // The descriptor that looks is not one of those looked for.
  const std::string own = std::to_string(::dirfd(directory.get()));
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name{entry->d_name};
    if (name != "." && name != ".." && !(name == own && path == std::string_view{"/proc/self/fd"}))
      f(std::string{name});
  }
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::map<pid_t, std::string> children() {
  std::map<pid_t, std::string> found;
  siginfo_t info{};
  // __WALL: also children that were cloned without an exit signal. WNOWAIT: only look.
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 && errno == ECHILD)
    return found;
  for_each_entry("/proc", [&](const std::string& name) {
    const auto pid = number(name);
    if (!pid) return;
    std::ifstream file{"/proc/" + name + "/stat"};
    std::string stat;
    std::getline(file, stat);
    // "pid (name) state parent ...": the name may hold anything, so search its end from the right.
    const auto open = stat.find('(');
    const auto close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos) return;
    std::istringstream rest{stat.substr(close + 1)};
    char state = '?';
    pid_t parent = 0;
    rest >> state >> parent;
    if (parent == ::getpid())
      found[*pid] = stat.substr(open + 1, close - open - 1) +
                    (state == 'Z' ? ", a zombie" : std::string{", state "} + state);
  });
  return found;
}

std::map<int, std::string> descriptors() {
  std::map<int, std::string> found;
  for_each_entry("/proc/self/fd", [&](const std::string& name) {
    const auto fd = number(name);
    if (!fd) return;
    std::array<char, 512> target{};
    const auto length =
        ::readlink(("/proc/self/fd/" + name).c_str(), target.data(), target.size() - 1);
    if (length > 0) found[*fd] = std::string(target.data(), static_cast<std::size_t>(length));
  });
  return found;
}

std::map<std::string, ino_t> named_shared_memory() {
  // Desktop programs of the same user come and go here.
  constexpr std::array<std::string_view, 4> strangers{".org.chromium.", ".com.google.Chrome.",
                                                      "pulse-shm-", "org.mozilla."};
  std::map<std::string, ino_t> found;
  for_each_entry("/dev/shm", [&](const std::string& name) {
    if (std::ranges::any_of(strangers, [&](auto prefix) { return name.starts_with(prefix); }))
      return;
    struct stat status{};
    if (::lstat(("/dev/shm/" + name).c_str(), &status) == 0 && status.st_uid == ::geteuid())
      found[name] = status.st_ino;
  });
  return found;
}

std::map<std::string, std::size_t> shared_mappings() {
  std::map<std::string, std::size_t> found;
  if constexpr (!mappings_are_ours) return found;
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    // "begin-end perms offset device inode   what"
    std::istringstream fields{line};
    std::size_t begin = 0;
    std::size_t end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode, what;
    fields >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode;
    std::getline(fields >> std::ws, what);
    if (permissions.size() == 4 && permissions[3] == 's') found[what] += end - begin;
  }
  return found;
}

}  // namespace

Holdings Holdings::now() {
  Holdings holdings;
  holdings.children_ = children();
  holdings.descriptors_ = descriptors();
  holdings.named_ = named_shared_memory();
  holdings.mappings_ = shared_mappings();
  return holdings;
}

std::vector<std::string> Holdings::changes_since(const Holdings& before) const {
  std::vector<std::string> changes;
  for (const auto& [pid, what] : children_)
    if (!before.children_.contains(pid))
      changes.push_back("child process " + std::to_string(pid) + " is left: " + what);
  for (const auto& [fd, what] : descriptors_) {
    const auto old = before.descriptors_.find(fd);
    if (old == before.descriptors_.end())
      changes.push_back("file descriptor " + std::to_string(fd) + " is left: " + what);
    else if (old->second != what)
      changes.push_back("file descriptor " + std::to_string(fd) + " is " + what +
                        " now, and was " + old->second);
  }
  for (const auto& [fd, what] : before.descriptors_)
    if (!descriptors_.contains(fd))
      changes.push_back("file descriptor " + std::to_string(fd) + " was closed: " + what);
  for (const auto& [name, inode] : named_)
    if (const auto old = before.named_.find(name);
        old == before.named_.end() || old->second != inode)
      changes.push_back("named shared memory is left: /dev/shm/" + name);
  for (const auto& [what, bytes] : mappings_) {
    const auto old = before.mappings_.find(what);
    const std::size_t had = old == before.mappings_.end() ? 0 : old->second;
    if (bytes > had)
      changes.push_back("shared memory is left mapped: " + std::to_string(bytes - had) +
                        " bytes of " + what);
  }
  return changes;
}

void Holdings::end_children_since(const Holdings& before) const {
  for (const auto& [pid, what] : children_) {
    if (before.children_.contains(pid)) continue;
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace apalis::test
