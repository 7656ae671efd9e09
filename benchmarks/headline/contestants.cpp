// SPDX-License-Identifier: BSL-1.0
#include <apalis/apalis.hpp>
#include <future>
#include <memory>
#include <utility>

#ifdef APALIS_BENCH_TBB
#  include <tbb/parallel_for.h>
#endif

#include "../suite/stopwatch.hpp"
#include "../suite/subjects.hpp"
#include "contestant.hpp"

namespace apalis::bench {
namespace {

using Steps = std::uint64_t;
using Tokens = std::vector<Token<std::uint64_t>>;
using Calls = std::vector<Call<Worker, std::uint64_t>>;
using Group = GroupHandler<Worker>;

/// Takes all results.
void collect(Tokens& tokens) {
  for (auto& token : tokens) keep(token.get());
  tokens.clear();
}

Contestant serial_loop(std::size_t tasks) {
  return {"serial", "serial loop", [=](Steps steps) {
            return [=] {
              for (std::size_t i = 0; i < tasks; ++i) keep(run_kernel(steps));
            };
          }};
}

Contestant standard_async(std::size_t tasks) {
  return {"async", "std::async", [=](Steps steps) {
            return [=, futures = std::make_shared<std::vector<std::future<std::uint64_t>>>()] {
              for (std::size_t i = 0; i < tasks; ++i) {
                futures->push_back(std::async(std::launch::async, run_kernel, steps));
              }
              for (auto& future : *futures) keep(future.get());
              futures->clear();
            };
          }};
}

#ifdef APALIS_BENCH_TBB
Contestant one_tbb(std::size_t tasks) {
  return {"oneTBB", "oneTBB parallel_for", [=](Steps steps) {
            return [=] {
              tbb::parallel_for(std::size_t{0}, tasks,
                                [=](std::size_t) { keep(run_kernel(steps)); });
            };
          }};
}
#endif

/// A process for each object.
Contestant handlers(std::size_t tasks) {
  auto all = std::make_shared<std::vector<Handler<Worker>>>(tasks);
  return {"Handler", "a Handler each: call, get", [=](Steps steps) {
            return [=, tokens = std::make_shared<Tokens>()] {
              for (auto& handler : *all) tokens->push_back(handler.call(&Worker::work, steps));
              collect(*tokens);
            };
          }};
}

Contestant group_calls(const std::shared_ptr<Group>& group) {
  return {"call", "group: call, get", [=](Steps steps) {
            return [=, tokens = std::make_shared<Tokens>()] {
              for (const auto object : *group) tokens->push_back(object.call(&Worker::work, steps));
              collect(*tokens);
            };
          }};
}

void prepare(const Group& group, Steps steps, Calls& calls) {
  for (const auto object : group) calls.push_back(object.prepare(&Worker::work, steps));
}

/// As for arguments that are new each time.
Contestant group_multiple_run(const std::shared_ptr<Group>& group) {
  return {"multiple_run", "group: prepare, multiple_run", [=](Steps steps) {
            return [=, calls = std::make_shared<Calls>()] {
              prepare(*group, steps, *calls);
              keep(group->multiple_run(*calls).get());
              calls->clear();
            };
          }};
}

/// As for calls that are made again and again.
Contestant group_run(const std::shared_ptr<Group>& group) {
  return {"run", "group: run, prepared once", [=](Steps steps) {
            const auto calls = std::make_shared<Calls>();
            prepare(*group, steps, *calls);
            return [=] { keep(group->run(*calls)); };
          }};
}

Contestant group_map(const std::shared_ptr<Group>& group) {
  return {"map", "group: map",
          [=](Steps steps) { return [=] { keep(group->map(&Worker::work, steps)); }; }};
}

}  // namespace

std::vector<Contestant> contestants(std::size_t tasks, std::size_t cores) {
  const auto group = std::make_shared<Group>(GroupOptions{.workers = cores}, std::in_place, tasks);
  return {
      serial_loop(tasks), standard_async(tasks),
#ifdef APALIS_BENCH_TBB
      one_tbb(tasks),
#endif
      handlers(tasks),    group_calls(group),    group_multiple_run(group),
      group_run(group),   group_map(group),
  };
}

}  // namespace apalis::bench
