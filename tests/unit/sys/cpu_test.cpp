// SPDX-License-Identifier: BSL-1.0
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/cpu.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Pipe;
using apalis::test::Refusing;
using apalis::test::start_child;

namespace {

/// The cores that a process may run on.
std::vector<int> cores_of(pid_t pid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(pid, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  return cores;
}

void allow(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  expect(::sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity failed");
}

constexpr int no_such_core = 100'000;

}  // namespace

TEST_CASE("allowed_cores follows the affinity mask", "[cpu]") {
  CHECK(sys::allowed_cores() == static_cast<int>(cores_of(0).size()));
  CHECK(in_child([] {
          auto cores = cores_of(0);
          while (cores.size() > 1) {
            cores.pop_back();
            allow(cores);
            expect(sys::allowed_cores() == static_cast<int>(cores.size()), "the mask is ignored");
          }
          expect(sys::allowed_cores() == 1, "one core is not one");
          expect(sys::usable_cores() == 1, "one core allowed, and more usable");
        }) == fine);
}

TEST_CASE("usable_cores is at least one and no more than allowed", "[cpu]") {
  CHECK(sys::usable_cores() >= 1);
  CHECK(sys::usable_cores() <= sys::allowed_cores());
}

TEST_CASE("pin puts a process on one core", "[cpu]") {
  for (const int core : cores_of(0)) {
    const Pipe done;
    const pid_t pid = start_child([&] { (void)done.take(); });
    CHECK(sys::pin(pid, core) == 0);
    CHECK(cores_of(pid) == std::vector<int>{core});
    done.put('x');
    CHECK(end_of(pid) == fine);
  }
}

TEST_CASE("pin of 0 means the calling thread alone", "[cpu]") {
  const auto before = cores_of(0);
  std::thread pinned([&] {
    const int result = sys::pin(0, before.front());
    if (result != 0 || cores_of(0) != std::vector<int>{before.front()}) std::abort();
  });
  pinned.join();
  CHECK(cores_of(0) == before);
}

TEST_CASE("an affinity mask is given back", "[cpu]") {
  const auto before = cores_of(0);
  const auto mask = sys::affinity();
  CHECK(sys::pin(0, before.back()) == 0);
  sys::set_affinity({});
  CHECK(cores_of(0) == std::vector<int>{before.back()});
  sys::set_affinity(mask);
  CHECK(cores_of(0) == before);
  const Refusing refusing(sys::Call::get_affinity, EPERM);
  CHECK(sys::affinity().empty());
}

TEST_CASE("pin to a core that does not exist or may not be used is an errno", "[cpu]") {
  const auto before = cores_of(0);
  CHECK(sys::pin(0, -1) == EINVAL);
  CHECK(sys::pin(0, no_such_core) == EINVAL);
  CHECK(cores_of(0) == before);
}

TEST_CASE("pin of a process that does not exist is an errno", "[cpu]") {
  const pid_t pid = start_child([] {});
  CHECK(end_of(pid) == fine);
  CHECK(sys::pin(pid, cores_of(0).front()) == ESRCH);
  const Refusing refusing(sys::Call::set_affinity, EPERM);
  CHECK(sys::pin(0, cores_of(0).front()) == EPERM);
}

TEST_CASE("yield_core comes back", "[cpu]") {
  for (int i = 0; i < 1000; ++i) sys::yield_core();
  SUCCEED();
}

// --- Quotas --------------------------------------------------------------------------------------
// A mount namespace of its own shows the process a folder of ours as /sys/fs/cgroup. Where that is
// not allowed, or every group is the root and no file can be put on its path, little is tested.

namespace {

/// What a test does not apply to.
struct NotPossible {};

class FakeGroups {
 public:
  FakeGroups() {
    if (::unshare(CLONE_NEWNS) != 0) become_root_of_own_namespace();
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, nullptr) != 0 ||
        !std::ofstream{"/sys/fs/cgroup/probe"})
      throw NotPossible{};
  }

  /// Replaces what /proc/self/cgroup says.
  void set_membership(const std::string& lines) {
    write("membership", lines);
    if (::mount("/sys/fs/cgroup/membership", "/proc/self/cgroup", nullptr, MS_BIND, nullptr) != 0)
      throw NotPossible{};
  }

  /// Writes a file below /sys/fs/cgroup, with the folders that lead there.
  void write(const std::string& path, const std::string& text) {
    std::string folder = "/sys/fs/cgroup/";
    std::istringstream parts{path};
    std::string part;
    for (std::getline(parts, part, '/'); !parts.eof(); std::getline(parts, part, '/')) {
      folder += part + '/';
      ::mkdir(folder.c_str(), 0755);
    }
    std::ofstream file{folder + part};
    file << text;
    expect(file.good(), "can't write " + folder + part);
  }

 private:
  static void become_root_of_own_namespace() {
    const auto user = std::to_string(::getuid());
    const auto group = std::to_string(::getgid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) throw NotPossible{};
    std::ofstream{"/proc/self/setgroups"} << "deny";
    std::ofstream{"/proc/self/uid_map"} << "0 " + user + " 1";
    std::ofstream{"/proc/self/gid_map"} << "0 " + group + " 1";
  }
};

/// Runs `body` among fake groups; `fine` too where there can be none.
template <class F>
std::string among_fake_groups(F body) {
  return in_child([&] {
    try {
      FakeGroups groups;
      body(groups);
    } catch (const NotPossible&) {
    }
  });
}

void expect_usable(int wanted) {
  // The machine may have fewer cores than the quota would allow.
  const int expected = std::min(wanted, sys::allowed_cores());
  expect(sys::usable_cores() == expected, std::to_string(sys::usable_cores()) + " instead of " +
                                              std::to_string(expected) + " cores are usable");
}

constexpr int no_limit = 1 << 20;

}  // namespace

TEST_CASE("without files of quotas nothing is limited", "[cpu]") {
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("0::/\n");
          expect_usable(no_limit);
        }) == fine);
}

TEST_CASE("a quota of cgroup v2 limits, rounded up", "[cpu]") {
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("0::/work/inner\n");
          const auto check = [&](const std::string& quota, int wanted) {
            groups.write("work/inner/cpu.max", quota);
            expect_usable(wanted);
          };
          check("100000 100000\n", 1);
          check("1000 100000\n", 1);
          check("100001 100000\n", 2);
          check("150000 100000\n", 2);
          check("max 100000\n", no_limit);
          check("garbage\n", no_limit);
          check("", no_limit);
          check("100000 0\n", no_limit);
        }) == fine);
}

TEST_CASE("a quota of an enclosing group limits too", "[cpu]") {
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("0::/outer/work/inner\n");
          groups.write("outer/work/inner/cpu.max", "max 100000\n");
          groups.write("outer/cpu.max", "50000 100000\n");
          expect_usable(1);
          groups.write("outer/cpu.max", "max 100000\n");
          expect_usable(no_limit);
          groups.write("cpu.max", "100000 100000\n");  // as seen inside a container
          expect_usable(1);
        }) == fine);
}

TEST_CASE("a quota of cgroup v1 limits", "[cpu]") {
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("9:name=systemd:/\n4:cpu,cpuacct:/box\n1:cpuset:/\n");
          groups.write("cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
          groups.write("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
          expect_usable(no_limit);
          groups.write("cpu,cpuacct/box/cpu.cfs_quota_us", "70000\n");
          expect_usable(1);
        }) == fine);
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("4:cpuacct,cpu:/outer/box\n");
          groups.write("cpu/outer/cpu.cfs_quota_us", "20000\n");
          groups.write("cpu/outer/cpu.cfs_period_us", "20000\n");
          expect_usable(1);
        }) == fine);
}

TEST_CASE("memberships of no known form limit nothing", "[cpu]") {
  CHECK(among_fake_groups([](FakeGroups& groups) {
          groups.set_membership("nonsense\n:\n::\n\n0::\n7:cpu:relative\n0::/../..\n");
          expect_usable(no_limit);
        }) == fine);
}
