// SPDX-License-Identifier: BSL-1.0
#include <sched.h>

#include <algorithm>
#include <apalis/detail/sys/control_group.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <string>

namespace apalis::detail::sys {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// "max 100000" or "150000 100000" (cgroup v2): cores, or no limit.
double quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return unlimited;
  return std::strtod(quota.c_str(), nullptr) / period;
}

/// cpu.cfs_quota_us of -1 is no limit (cgroup v1).
double quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = -1;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0)
    return unlimited;
  return quota / period;
}

double cgroup_quota() {
  double result = unlimited;
  for (const auto& group : control_groups("cpu"))
    result = std::min(result, group.unified ? quota_v2(group.path) : quota_v1(group.path));
  return result;
}

struct FreeSet {
  void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};

/// Calls `use(set, bytes)` with the affinity mask of this thread. False if it can't be read.
template <class Use>
bool with_affinity(Use use) {
  if (injected_fault(Call::get_affinity) != 0) return false;
  // A fixed cpu_set_t ends at 1024 cores; the kernel says EINVAL until the set is large enough.
  for (std::size_t cores = 1024; cores <= (std::size_t{1} << 20); cores *= 4) {
    const std::unique_ptr<cpu_set_t, FreeSet> set{CPU_ALLOC(cores)};
    if (set == nullptr) return false;
    const auto bytes = CPU_ALLOC_SIZE(cores);
    if (::sched_getaffinity(0, bytes, set.get()) == 0) {
      use(set.get(), bytes, cores);
      return true;
    }
    if (errno != EINVAL) return false;
  }
  return false;
}

}  // namespace

int allowed_cores() noexcept {
  int count = 1;
  (void)with_affinity([&](const cpu_set_t* set, std::size_t bytes, std::size_t /*cores*/) {
    count = std::max(CPU_COUNT_S(bytes, set), 1);
  });
  return count;
}

std::vector<int> allowed_core_list() {
  std::vector<int> list;
  (void)with_affinity([&](const cpu_set_t* set, std::size_t bytes, std::size_t cores) {
    for (std::size_t core = 0; core < cores; ++core)
      if (CPU_ISSET_S(core, bytes, set)) list.push_back(static_cast<int>(core));
  });
  if (list.empty()) list.push_back(0);
  return list;
}

int usable_cores() {
  const double quota = cgroup_quota();
  const int allowed = allowed_cores();
  return quota >= allowed ? allowed : std::max(static_cast<int>(std::ceil(quota)), 1);
}

int pin(pid_t pid, int cpu) noexcept {
  if (const int code = injected_fault(Call::set_affinity); code != 0) return code;
  if (cpu < 0) return EINVAL;
  const auto cores = static_cast<std::size_t>(cpu) + 1;
  const std::unique_ptr<cpu_set_t, FreeSet> set{CPU_ALLOC(cores)};
  if (set == nullptr) return ENOMEM;
  const auto bytes = CPU_ALLOC_SIZE(cores);
  CPU_ZERO_S(bytes, set.get());
  CPU_SET_S(static_cast<std::size_t>(cpu), bytes, set.get());
  return ::sched_setaffinity(pid, bytes, set.get()) == 0 ? 0 : errno;
}

Affinity affinity() noexcept {
  try {
    Affinity mask;
    (void)with_affinity([&](const cpu_set_t* set, std::size_t bytes, std::size_t /*cores*/) {
      mask.resize(bytes);
      std::memcpy(mask.data(), set, bytes);
    });
    return mask;
  } catch (const std::bad_alloc&) {
    return {};
  }
}

void set_affinity(const Affinity& mask) noexcept {
  if (mask.empty()) return;
  const std::unique_ptr<cpu_set_t, FreeSet> set{CPU_ALLOC(8 * mask.size())};
  if (set == nullptr) return;
  std::memcpy(set.get(), mask.data(), mask.size());
  ::sched_setaffinity(0, mask.size(), set.get());
}

int current_core() noexcept { return ::sched_getcpu(); }

bool move_to_core(int core) noexcept {
  bool moved = false;
  (void)with_affinity([&](const cpu_set_t* allowed, std::size_t bytes, std::size_t /*cores*/) {
    if (core < 0 || !CPU_ISSET_S(static_cast<std::size_t>(core), bytes, allowed)) return;
    // The first call moves us; what follows it is only permission to leave again.
    moved = pin(0, core) == 0;
    if (moved) ::sched_setaffinity(0, bytes, allowed);
  });
  return moved;
}

void yield_core() noexcept { ::sched_yield(); }

}  // namespace apalis::detail::sys
