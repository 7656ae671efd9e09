// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/backend/backend.hpp>
#include <apalis/backend/group_opener.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/error.hpp>
#include <limits>
#include <utility>

namespace apalis::detail::backend {
namespace {

constexpr std::size_t most_objects = std::numeric_limits<std::uint32_t>::max() - 1;

std::uint32_t worker_count(const GroupOptions& options, std::size_t objects) {
  const auto wanted = options.workers != 0 ? options.workers
                                           : static_cast<std::size_t>(sys::usable_cores());
  return static_cast<std::uint32_t>(std::min(wanted, std::max<std::size_t>(objects, 1)));
}

Options options_of_worker(const GroupOptions& options, std::uint32_t worker,
                          std::uint32_t workers) {
  Options own{.name = workers == 1
                          ? options.name
                          : fmt::format("{} (worker {} of {})", options.name, worker, workers),
              .cpu = {},
              .backend = options.backend,
              .close_timeout = options.close_timeout,
              .on_error = options.on_error,
              .restart = options.restart,
              .max_calls_per_worker = options.max_calls_per_worker,
              .timeout = options.timeout,
              .fork_in_threads = options.fork_in_threads,
              .on_worker_start = options.on_worker_start,
              .on_worker_exit = options.on_worker_exit};
  if (options.pin) {
    const auto cores = sys::allowed_core_list();
    own.cpu = cores[worker % cores.size()];
  }
  return own;
}

}  // namespace

actor::Group* open_group(const GroupOptions& options, std::size_t objects,
                         actor::GroupMaker& maker) {
  if (objects > most_objects)
    throw Error(fmt::format("apalis: a group holds up to {} objects", most_objects));
  const auto workers = worker_count(options, objects);
  std::vector<actor::Link*> links;
  links.reserve(workers);
  try {
    for (std::uint32_t i = 0; i < workers; ++i) {
      maker.turn_to(i, workers);
      links.push_back(open_link(options_of_worker(options, i, workers), maker));
    }
    return actor::Group::make(links);
  } catch (...) {
    for (actor::Link* link : links) {
      link->shut(true, actor::deadline_after(options.close_timeout));
      link->release();
    }
    throw;
  }
}

void refuse_group(bool elsewhere) {
  throw Error(elsewhere
                  ? "apalis: this group belongs to the process that made it, not to its fork"
                  : "apalis: this group was moved from");
}

void refuse_index(std::size_t index, std::size_t size) {
  throw Error(fmt::format("apalis: object {} of a group of {}", index, size));
}

void refuse_call(bool of_handler, std::size_t index, std::size_t size) {
  if (of_handler)
    throw Error("apalis: this call was prepared by a Handler: prepare it by an object of the "
                "group, as in g[0].prepare(...)");
  throw Error(fmt::format("apalis: this call was prepared for object {} of another group; this one "
                          "has {}",
                          index, size));
}

void refuse_length(std::size_t length, std::size_t size) {
  throw Error(fmt::format("apalis: each() has {} elements, but the group has {} objects: give one "
                          "for each",
                          length, size));
}

}  // namespace apalis::detail::backend
