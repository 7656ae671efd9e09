// SPDX-License-Identifier: BSL-1.0
#include <stdlib.h>

#include <apalis/detail/sys/oom.hpp>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;
using sys::OomKills;
using sys::OomVerdict;
using sys::OomWatch;
using namespace std::chrono_literals;

namespace {

/// A machine made of files.
class Machine {
 public:
  Machine() {
    char path[] = "/tmp/apalis-oom-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = path;
  }
  ~Machine() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const auto whole = root_ / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  [[nodiscard]] sys::OomFiles files() const {
    return {.groups = (root_ / "cgroup").string(),
            .root = (root_ / "fs").string(),
            .machine = (root_ / "vmstat").string()};
  }

 private:
  std::filesystem::path root_;
};

std::string events(int kills) {
  return "low 0\nhigh 12\nmax 4711\noom 3\noom_kill " + std::to_string(kills) +
         "\noom_group_kill 9\n";
}

}  // namespace

TEST_CASE("a counter is a whole line", "[oom]") {
  CHECK(sys::counter_in("oom_kill 7\n", "oom_kill") == 7);
  CHECK(sys::counter_in(events(5), "oom_kill") == 5);
  CHECK(sys::counter_in("oom_kill_disable 0\nunder_oom 0\noom_kill 2", "oom_kill") == 2);
  CHECK(sys::counter_in("oom_kill 18446744073709551615", "oom_kill") == ~std::uint64_t{0});
  for (const char* text :
       {"", "\n\n", "oom_kill", "oom_kill ", "oom_kill -1", "oom_kill 1x", "oom_kill 1 2",
        "oom_kill  1", "xoom_kill 1", "oom_kill\t1", "oom_kill 18446744073709551616",
        "oom_killed 1"})
    CHECK_FALSE(sys::counter_in(text, "oom_kill").has_value());
}

TEST_CASE("the count is that of this process's group", "[oom]") {
  Machine machine;
  CHECK(sys::oom_kills(machine.files()).of == OomKills::Of::nobody);

  machine.write("vmstat", "nr_free_pages 5\noom_kill 100\n");
  CHECK(sys::oom_kills(machine.files()).of == OomKills::Of::machine);
  CHECK(sys::oom_kills(machine.files()).count == 100);

  SECTION("version 2") {
    machine.write("cgroup", "0::/user.slice/x\n");
    machine.write("fs/user.slice/x/memory.events", events(3));
  }
  SECTION("version 2, in a container whose group is the root it sees") {
    machine.write("cgroup", "0::/\n");
    machine.write("fs/memory.events", events(3));
  }
  SECTION("version 2, in a container that sees its group's path but not the group") {
    machine.write("cgroup", "0::/docker/1234\n");
    machine.write("fs/memory.events", events(3));
  }
  SECTION("version 1") {
    machine.write("cgroup", "12:cpu,cpuacct:/a\n4:memory:/b\n0::/\n");
    machine.write("fs/memory/b/memory.oom_control",
                  "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
  }
  SECTION("version 1, mounted with another controller") {
    machine.write("cgroup", "4:hugetlb,memory:/b\n");
    machine.write("fs/memory/b/memory.oom_control", "oom_kill 3\n");
  }
  CHECK(sys::oom_kills(machine.files()).of == OomKills::Of::group);
  CHECK(sys::oom_kills(machine.files()).count == 3);
}

TEST_CASE("files of any content are borne", "[oom]") {
  Machine machine;
  const std::vector<std::string> texts{"", ":", "::", "a:b", ":::::", "0::", "memory", "4:memory:",
                                       "0::../../..", std::string(1'000'000, 'x'),
                                       std::string(100'000, ':'), std::string(100'000, '\n')};
  for (const auto& text : texts) {
    machine.write("cgroup", text);
    machine.write("vmstat", text);
    CHECK(sys::oom_kills(machine.files()).of == OomKills::Of::nobody);
  }
}

TEST_CASE("each kill explains one death", "[oom]") {
  Machine machine;
  machine.write("cgroup", "0::/x\n");
  machine.write("fs/x/memory.events", events(3));
  OomWatch watch{machine.files()};
  CHECK(watch.judge() == OomVerdict::no);
  machine.write("fs/x/memory.events", events(5));
  CHECK(watch.judge() == OomVerdict::likely);
  CHECK(watch.judge() == OomVerdict::likely);
  CHECK(watch.judge() == OomVerdict::no);
}

TEST_CASE("a kill of long ago explains nothing", "[oom]") {
  Machine machine;
  machine.write("vmstat", "oom_kill 0\n");
  OomWatch watch{machine.files()};
  machine.write("vmstat", "oom_kill 2\n");
  const auto now = OomWatch::Clock::now();
  CHECK(watch.judge(now) == OomVerdict::possible);
  CHECK(watch.judge(now + 1min) == OomVerdict::no);
}

TEST_CASE("counts of two groups are not compared", "[oom]") {
  Machine machine;
  machine.write("vmstat", "oom_kill 1\n");
  OomWatch watch{machine.files()};
  machine.write("cgroup", "0::/x\n");
  machine.write("fs/x/memory.events", events(30));
  CHECK(watch.judge() == OomVerdict::no);
}

TEST_CASE("this machine's own files are read", "[oom]") {
  CHECK_NOTHROW(sys::oom_watch().judge());
}
