// SPDX-License-Identifier: BSL-1.0
//
// Counts the words of text files in parallel: one-way calls, and state that stays in the workers.
//
//   word_count [FILE...]        by default the licences that the system has

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

using Counts = std::unordered_map<std::string, long>;

class WordCounter {
 public:
  void add_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("can't read " + path);
    std::string word;
    for (std::istreambuf_iterator<char> at{file}, end; at != end; ++at) {
      const auto c = static_cast<unsigned char>(*at);
      if (std::isalpha(c) != 0) {
        word += static_cast<char>(std::tolower(c));
      } else if (!word.empty()) {
        ++counts_[word];
        word.clear();
      }
    }
    if (!word.empty()) ++counts_[word];
  }

  const Counts& counts() const { return counts_; }  // arrives as a value

 private:
  Counts counts_;
};

struct File {
  std::string path;
  std::uintmax_t size;
};

std::vector<File> files_to_count(int argc, char** argv) {
  std::vector<File> files;
  for (int i = 1; i < argc; ++i) files.push_back({argv[i], std::filesystem::file_size(argv[i])});
  const std::filesystem::path licences = "/usr/share/common-licenses";
  if (argc == 1 && std::filesystem::is_directory(licences)) {
    for (const auto& entry : std::filesystem::directory_iterator(licences))
      if (entry.is_regular_file() && !entry.is_symlink())
        files.push_back({entry.path(), entry.file_size()});
  }
  // Long ones first, so that the workers end together.
  std::sort(files.begin(), files.end(), [](auto& a, auto& b) { return a.size > b.size; });
  return files;
}

Counts count_serially(const std::vector<File>& files) {
  WordCounter counter;
  for (const File& file : files) counter.add_file(file.path);
  return counter.counts();
}

struct Worker {
  apalis::Handler<WordCounter> handler;
  std::uintmax_t bytes = 0;
};

Counts count_in_parallel(const std::vector<File>& files, std::vector<Worker>& workers) {
  for (const File& file : files) {
    auto& worker = *std::min_element(workers.begin(), workers.end(),
                                     [](auto& a, auto& b) { return a.bytes < b.bytes; });
    worker.handler.post(&WordCounter::add_file, file.path);  // no reply: nothing to wait for
    worker.bytes += file.size;
  }
  std::vector<apalis::Token<Counts>> parts;
  parts.reserve(workers.size());
  for (Worker& worker : workers) parts.push_back(worker.handler.call(&WordCounter::counts));

  Counts total;
  for (auto& part : parts)
    for (const auto& [word, count] : part.get()) total[word] += count;
  for (Worker& worker : workers) worker.handler.drain();  // throws if a file could not be read
  return total;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

int main(int argc, char** argv) {
  const auto files = files_to_count(argc, argv);
  std::uintmax_t bytes = 0;
  for (const File& file : files) bytes += file.size;
  std::printf("%zu files, %ju kB\n", files.size(), bytes / 1000);
  if (files.empty()) {
    std::puts("nothing to count: name some text files on the command line");
    return 0;
  }
  count_serially(files);  // so that both measured runs find the files in memory

  auto start = std::chrono::steady_clock::now();
  const Counts serial = count_serially(files);
  const double serial_time = milliseconds_since(start);
  start = std::chrono::steady_clock::now();
  std::vector<Worker> workers(static_cast<std::size_t>(apalis::cpu_count()));
  const double making_time = milliseconds_since(start);
  const Counts parallel = count_in_parallel(files, workers);
  const double parallel_time = milliseconds_since(start);

  std::vector<std::pair<std::string, long>> table(parallel.begin(), parallel.end());
  std::sort(table.begin(), table.end(),
            [](auto& a, auto& b) { return a.second != b.second ? a.second > b.second : a < b; });
  if (table.size() > 10) table.resize(10);
  for (const auto& [word, count] : table) std::printf("%8ld  %s\n", count, word.c_str());

  std::printf("one process %.1f ms, %zu workers %.1f ms, of which %.1f to make them: %s\n",
              serial_time, workers.size(), parallel_time, making_time,
              serial == parallel ? "the same counts" : "DIFFERENT COUNTS");
  return serial == parallel ? 0 : 1;
}
