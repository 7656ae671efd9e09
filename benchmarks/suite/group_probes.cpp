// SPDX-License-Identifier: BSL-1.0
#include "group_probes.hpp"

#include <unistd.h>

#include <apalis/apalis.hpp>
#include <cstddef>
#include <utility>
#include <vector>

#include "pss.hpp"
#include "stopwatch.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

double pss_of(const GroupHandler<Small>& group) {
  // A worker that has answered has made its objects.
  for (std::size_t worker = 0; worker < group.workers(); ++worker) {
    keep(group[worker].call(&Small::add, 1.0).get());
  }
  std::vector<pid_t> processes = group.pids();
  processes.push_back(getpid());
  return pss_in_kb(processes);
}

}  // namespace

double pss_of_made_group(int count) {
  return pss_of({std::in_place, static_cast<std::size_t>(count), make_small});
}

double pss_of_carried_group(int count) {
  return pss_of(GroupHandler<Small>(make_smalls(static_cast<std::size_t>(count))));
}

}  // namespace apalis::bench
