// SPDX-License-Identifier: BSL-1.0
//
// What kinds of lines a log has: streamed through imap in blocks, of which only so many are in
// memory as are under way, however long the log.
//
//   log_stats [MEGABYTES [FILE...]]
//
// By default the package manager's log (/var/log/dpkg.log, or /var/log/alternatives.log), which is
// read over and over until 24 MB have gone through; where there is none, a log of a web server's
// kind that this program makes up.

#include <sys/resource.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// --- Reading -------------------------------------------------------------------------------------

/// Blocks of some 64 kB, each of whole lines: an input range, which holds one of them.
class Blocks {
 public:
  Blocks(std::vector<std::string> files, std::size_t bytes)
      : files_(std::move(files)), bytes_(bytes) {}

  class Iterator {
   public:
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Blocks& blocks) : blocks_(&blocks) {}

    const std::string& operator*() const { return blocks_->block_; }
    Iterator& operator++() {
      blocks_->read();
      return *this;
    }
    void operator++(int) { blocks_->read(); }
    bool operator==(std::default_sentinel_t /*end*/) const { return blocks_->block_.empty(); }

   private:
    Blocks* blocks_;
  };
  Iterator begin() {
    read();
    return Iterator{*this};
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  static constexpr std::size_t size = std::size_t{64} * 1024;

  void read() {
    block_.clear();
    if (read_ >= bytes_) return;
    for (std::string line; block_.size() < size;) {
      if (!std::getline(file_, line)) {
        if (!block_.empty()) break;
        open_next();
        continue;
      }
      block_ += line;
      block_ += '\n';
    }
    read_ += block_.size();
  }
  void open_next() {
    const std::string& name = files_[opened_++ % files_.size()];
    if (opened_ > files_.size() && read_ == 0) throw std::runtime_error("all files are empty");
    file_.close();
    file_.clear();
    file_.open(name);
    if (!file_) throw std::runtime_error("can't read " + name);
  }

  std::vector<std::string> files_;
  std::size_t bytes_, read_ = 0, opened_ = 0;
  std::ifstream file_;
  std::string block_;
};

// --- Counting ------------------------------------------------------------------------------------

struct Stats {
  long lines = 0, bytes = 0;
  std::map<std::string, long> kinds = {};

  void add(const Stats& other) {
    lines += other.lines;
    bytes += other.bytes;
    for (const auto& [kind, count] : other.kinds) kinds[kind] += count;
  }
  bool operator==(const Stats&) const = default;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(lines, bytes, kinds);
  }
};

/// What a line has in common with others of its kind: its words, and * for names, numbers, dates.
std::string kind_of(std::string_view line) {
  std::string kind;
  while (!line.empty()) {
    const auto end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    const bool plain = std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalpha(c) != 0 || c == '-' || c == '_';
    });
    if (!plain && kind.ends_with('*')) continue;
    if (!kind.empty()) kind += ' ';
    kind += plain ? word : "*";
  }
  return kind;
}

/// What the engine maps: the text is read where it arrived.
Stats count(std::string_view block) {
  Stats stats;
  stats.bytes = static_cast<long>(block.size());
  while (!block.empty()) {
    const auto end = block.find('\n');
    ++stats.lines;
    ++stats.kinds[kind_of(block.substr(0, end))];
    block.remove_prefix(end + 1);
  }
  return stats;
}

Stats count_all(const apalis::Engine& engine, const std::vector<std::string>& files,
                std::size_t bytes) {
  Stats total;
  for (const Stats& part : engine.imap(count, Blocks{files, bytes})) total.add(part);
  return total;
}

// --- The program ---------------------------------------------------------------------------------

/// A file that goes with it.
class MadeLog {
 public:
  MadeLog() : path_(std::filesystem::temp_directory_path() / "apalis_log_stats_XXXXXX") {
    std::string name = path_.string();
    const int fd = mkstemp(name.data());
    if (fd < 0) throw std::runtime_error("can't make " + name);
    path_ = name;
    std::FILE* const file = fdopen(fd, "w");
    std::mt19937 random{1};
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    for (int i = 0; i < 5000; ++i) {
      const char* const end = below(50) == 0 ? "not found" : "ok";
      std::fprintf(file, "10.0.0.%u GET /page/%u %s in %u ms\n", below(256), below(1000), end,
                   below(90));
    }
    if (std::fclose(file) != 0) throw std::runtime_error("can't write " + name);
  }
  MadeLog(const MadeLog&) = delete;
  MadeLog& operator=(const MadeLog&) = delete;
  ~MadeLog() { std::filesystem::remove(path_); }

  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The most that this process has had in memory so far.
double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int main(int argc, char** argv) try {
  const int megabytes = argc > 1 ? std::atoi(argv[1]) : 24;
  if (megabytes < 1) {
    std::fprintf(stderr, "usage: %s [MEGABYTES [FILE...]]\n", argv[0]);
    return 2;
  }
  const std::size_t bytes = static_cast<std::size_t>(megabytes) * 1'000'000;
  std::vector<std::string> files(argv + std::min(argc, 2), argv + argc);
  std::optional<MadeLog> made;
  for (const char* const log : {"/var/log/dpkg.log", "/var/log/alternatives.log"})
    if (files.empty() && std::ifstream(log).peek() != std::ifstream::traits_type::eof())
      files.emplace_back(log);
  if (files.empty()) files.push_back(made.emplace().path());
  std::printf("%d MB of %s%s\n", megabytes, files[0].c_str(), files.size() > 1 ? ", …" : "");

  const apalis::Engine engine{apalis::Backend::processes};
  (void)count_all(engine, files, 1);  // makes the workers: what follows is measured without that
  const double before = peak_megabytes();
  const auto start = std::chrono::steady_clock::now();
  const Stats stats = count_all(engine, files, bytes);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const double growth = peak_megabytes() - before;

  std::vector<std::pair<std::string, long>> table(stats.kinds.begin(), stats.kinds.end());
  std::sort(table.begin(), table.end(),
            [](auto& a, auto& b) { return a.second != b.second ? a.second > b.second : a < b; });
  std::printf("%10s  %5s  %zu kinds of lines, the most frequent of them\n", "lines", "%",
              table.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(10, table.size()); ++i)
    std::printf("%10ld  %5.1f  %.60s\n", table[i].second,
                100.0 * static_cast<double>(table[i].second) / static_cast<double>(stats.lines),
                table[i].first.c_str());
  std::printf("%ld lines in %.2f s: %.0f a second, %.0f MB/s, %zu workers\n", stats.lines,
              time.count(), static_cast<double>(stats.lines) / time.count(),
              static_cast<double>(stats.bytes) / 1e6 / time.count(), engine.max_workers());
  std::printf("this process: %.0f MB at most, %.1f of them for this\n", before + growth, growth);

  const bool same = count_all(apalis::Engine{apalis::Backend::serial}, files, bytes) == stats;
  std::puts(same ? "serially: the same counts" : "serially: OTHER COUNTS");
  return same ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
