// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/oom.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <charconv>
#include <fstream>

namespace apalis::detail::sys {
namespace {

constexpr std::size_t longest_file = std::size_t{64} * 1024;
constexpr std::chrono::seconds blame_lasts{5};

std::string read_start(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(longest_file, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

/// The first line of `text`, which loses it.
std::string_view take_line(std::string_view& text) noexcept {
  const auto line = text.substr(0, text.find('\n'));
  text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
  return line;
}

bool names_memory(std::string_view controllers) noexcept {
  while (!controllers.empty()) {
    const auto name = controllers.substr(0, controllers.find(','));
    if (name == "memory") return true;
    controllers.remove_prefix(name.size() == controllers.size() ? name.size() : name.size() + 1);
  }
  return false;
}

/// In the group at `path`, or at the mount's root: a container may show its own group there, under
/// a path that is the host's.
std::optional<std::uint64_t> kills_of_group(const std::string& mount, std::string_view path,
                                            const std::string& file) {
  if (path == "/") path = {};
  const auto found = counter_in(read_start(mount + std::string(path) + file), "oom_kill");
  if (found || path.empty()) return found;
  return counter_in(read_start(mount + file), "oom_kill");
}

std::optional<std::uint64_t> kills_of_own_group(const OomFiles& files) {
  const auto groups = read_start(files.groups);
  std::string_view rest = groups;
  while (!rest.empty()) {  // hierarchy:controllers:path
    const auto line = take_line(rest);
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    std::optional<std::uint64_t> found;
    if (controllers.empty()) {
      found = kills_of_group(files.root, path, "/memory.events");
    } else if (names_memory(controllers)) {
      found = kills_of_group(files.root + "/memory", path, "/memory.oom_control");
    }
    if (found) return found;
  }
  return std::nullopt;
}

constinit PerProcess<OomWatch> this_process;

}  // namespace

std::optional<std::uint64_t> counter_in(std::string_view text, std::string_view name) noexcept {
  while (!text.empty()) {
    auto line = take_line(text);
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    if (!line.starts_with(' ')) continue;
    line.remove_prefix(1);
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), count);
    if (error == std::errc{} && end == line.data() + line.size()) return count;
  }
  return std::nullopt;
}

OomKills oom_kills(const OomFiles& files) {
  if (const auto count = kills_of_own_group(files)) return {OomKills::Of::group, *count};
  if (const auto count = counter_in(read_start(files.machine), "oom_kill"))
    return {OomKills::Of::machine, *count};
  return {};
}

OomVerdict OomWatch::judge(Clock::time_point now) {
  const std::lock_guard lock{mutex_};
  const auto kills = oom_kills(files_);
  if (now - noticed_ > blame_lasts) unexplained_ = 0;
  if (kills.of == seen_.of && kills.count > seen_.count) {
    unexplained_ += kills.count - seen_.count;
    noticed_ = now;
  }
  seen_ = kills;  // another group, after a move, has another count
  if (unexplained_ == 0) return OomVerdict::no;
  --unexplained_;
  return kills.of == OomKills::Of::group ? OomVerdict::likely : OomVerdict::possible;
}

OomWatch& oom_watch() { return this_process.get(); }

}  // namespace apalis::detail::sys
