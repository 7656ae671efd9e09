// SPDX-License-Identifier: BSL-1.0
#include <stdlib.h>

#include <apalis/detail/sys/free_memory.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;

namespace {

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();

/// A machine made of files.
class Files {
 public:
  Files() {
    char path[] = "/tmp/apalis-free-memory-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = path;
  }
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const auto whole = root_ / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  [[nodiscard]] std::uint64_t left() const {
    return sys::free_memory({.machine = (root_ / "meminfo").string(),
                             .groups = {.membership = (root_ / "cgroup").string(),
                                        .root = (root_ / "fs").string()}});
  }

 private:
  std::filesystem::path root_;
};

constexpr auto meminfo =
    "MemTotal:       24000 kB\nMemFree:        1000 kB\nMemAvailable:   20000 kB\n"
    "SwapTotal:         0 kB\nSwapFree:          0 kB\n";

}  // namespace

TEST_CASE("free memory is what the machine says", "[free_memory]") {
  const Files files;
  files.write("meminfo", meminfo);
  CHECK(files.left() == 20000 * 1024);
}

TEST_CASE("free swap space counts as free memory", "[free_memory]") {
  const Files files;
  files.write("meminfo", "MemAvailable: 20000 kB\nSwapFree: 300 kB\n");
  CHECK(files.left() == 20300 * 1024);
}

TEST_CASE("memory that nobody tells of is not limited", "[free_memory]") {
  const Files files;
  CHECK(files.left() == unlimited);
  files.write("meminfo", "MemAvailable: plenty\nSwapFree: 300 kB\n");
  CHECK(files.left() == unlimited);
}

TEST_CASE("a control group of version 2 limits free memory", "[free_memory]") {
  const Files files;
  files.write("meminfo", meminfo);
  files.write("cgroup", "0::/box/inner\n");
  files.write("fs/box/inner/memory.max", "max\n");
  files.write("fs/box/inner/memory.current", "5000\n");
  CHECK(files.left() == 20000 * 1024);
  files.write("fs/box/memory.max", "9000\n");
  files.write("fs/box/memory.current", "6000\n");
  CHECK(files.left() == 3000);
  SECTION("page cache can be given up") {
    files.write("fs/box/memory.stat", "anon 3000\nfile 5000\ninactive_file 700\nactive_file 300\n");
    CHECK(files.left() == 4000);
  }
  SECTION("and may be all there is") {
    files.write("fs/box/memory.stat", "inactive_file 70000\n");
    CHECK(files.left() == 9000);
  }
  SECTION("more than the limit may be in use") {
    files.write("fs/box/memory.current", "9500\n");
    CHECK(files.left() == 0);
  }
  SECTION("the tightest group counts") {
    files.write("fs/box/inner/memory.max", "6000\n");
    CHECK(files.left() == 1000);
  }
}

TEST_CASE("a control group of version 1 limits free memory", "[free_memory]") {
  const Files files;
  files.write("meminfo", meminfo);
  files.write("cgroup", "5:cpu,cpuacct:/other\n4:memory:/box\n0::/\n");
  files.write("fs/memory/box/memory.limit_in_bytes", "9000\n");
  files.write("fs/memory/box/memory.usage_in_bytes", "6000\n");
  files.write("fs/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
  CHECK(files.left() == 3500);
}

TEST_CASE("this machine has some memory left", "[free_memory]") {
  CHECK(sys::free_memory() > 0);
}
