// SPDX-License-Identifier: BSL-1.0
//
// Work that may crash or never end: std::regex of GCC's library overflows its stack on long matches
// (a known bug) and takes for ever on patterns such as (a+)+. Each search runs in a worker with a
// time limit; one that goes down takes a single search with it, and the next worker goes on.
//
//   ./crash_proof                            # the licences of Debian, a few good and bad patterns
//   ./crash_proof 'free(dom)?' *.txt         # one pattern, these files

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

using namespace std::chrono_literals;

class Searcher {
 public:
  /// How often the pattern occurs in the file.
  long count(const std::string& pattern, const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::regex regex(pattern, std::regex::extended | std::regex::icase);
    return std::distance(std::sregex_iterator(text.begin(), text.end(), regex), {});
  }
};

int main(int argc, char** argv) {
  std::vector<std::string> patterns = {"warrant(y|ies)", "(.|\n)+", "(([a-z]+) ?)+!", "free(dom"};
  std::vector<std::string> files;
  if (argc > 1) patterns = {argv[1]};
  for (int i = 2; i < argc; ++i) files.emplace_back(argv[i]);
  const std::filesystem::path licences = "/usr/share/common-licenses";
  if (files.empty() && std::filesystem::exists(licences))
    for (const auto& entry : std::filesystem::directory_iterator(licences))
      if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  if (files.empty()) {
    std::puts("no files to search: name some");
    return 0;
  }
  std::sort(files.begin(), files.end());

  apalis::Handler<Searcher> searcher{{.restart = {.max = 1000, .backoff = 0ms}, .timeout = 300ms},
                                     std::in_place};
  std::printf("%zu files, %-18s %8s %8s %8s %8s\n", files.size(), "pattern", "found", "crashed",
              "too long", "refused");
  for (const std::string& pattern : patterns) {
    std::vector<apalis::Token<long>>
        searches;  // all at once: what waits behind a crash is not lost
    for (const std::string& file : files)
      searches.push_back(searcher.call(&Searcher::count, pattern, file));
    long found = 0, crashed = 0, too_long = 0, refused = 0;
    std::string last;
    for (auto& search : searches) {
      try {
        found += search.get();
      } catch (const apalis::WorkerDied& death) {
        ++crashed;
        last = death.what();
      } catch (const apalis::TimedOut&) {
        ++too_long;
      } catch (const std::regex_error& error) {
        ++refused;
        last = error.what();
      }
    }
    std::string shown = pattern;
    for (std::size_t at; (at = shown.find('\n')) != std::string::npos;) shown.replace(at, 1, "\\n");
    std::printf("          %-18s %8ld %8ld %8ld %8ld\n", shown.c_str(), found, crashed, too_long,
                refused);
    if (!last.empty()) std::printf("          %.150s\n", last.c_str());
  }
  std::printf("%u workers were replaced\n", searcher.restarts());
}
