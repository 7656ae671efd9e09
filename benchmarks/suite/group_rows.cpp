// SPDX-License-Identifier: BSL-1.0
// Rows of groups: many objects, few workers.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ping_pong.hpp"
#include "probe.hpp"
#include "row.hpp"
#include "subjects.hpp"

namespace apalis::bench {
namespace {

using namespace std::chrono_literals;

// --- The map over many objects --------------------------------------------------------------------

template <class Map>
Measured map_call(const Effort& effort, Map map) {
  constexpr int objects = 10'000;
  PingPong ping_pong;
  GroupHandler<Echo> group{std::in_place, objects};
  const Side calls{
      .sample = [&, x = 0]() mutable { return timed(objects, [&] { keep(map(group, ++x)); }); }};
  const auto [value, reference] = interleave(effort, calls, ping_pong.side());
  return medians(value, reference);
}

Measured group_map_call(const Effort& effort) {
  return map_call(effort, [](GroupHandler<Echo>& group, int x) { return group.map(&Echo::f, x); });
}

Measured bound_group_map_call(const Effort& effort) {
  return map_call(effort, [](GroupHandler<Echo>& group, int x) { return group.map<&Echo::f>(x); });
}

// --- More workers than cores ----------------------------------------------------------------------

constexpr int crowd = 4;

/// Four workers of a group, a call each through run().
auto crowded_group(std::uint64_t steps) {
  GroupHandler<Worker> group{{.workers = crowd}, std::in_place, crowd};
  std::vector<Call<Worker, std::uint64_t>> calls;
  for (const auto object : group) calls.push_back(object.prepare(&Worker::work, steps));
  return [group = std::move(group), calls = std::move(calls)]() mutable { keep(group.run(calls)); };
}

/// Four handlers, a call to each, then all results.
auto crowded_handlers(std::uint64_t steps) {
  return [handlers = std::vector<Handler<Worker>>(crowd), steps]() mutable {
    std::vector<Token<std::uint64_t>> tokens;
    tokens.reserve(crowd);
    for (auto& handler : handlers) tokens.push_back(handler.call(&Worker::work, steps));
    for (auto& token : tokens) keep(std::move(token).get());
  };
}

/// Beside the time that the same tasks would take if the cores had nothing else to do.
template <class Make>
Measured oversubscribed_round(const Effort& effort, Make make) {
  constexpr int rounds = 100;
  const std::uint64_t steps = steps_lasting(5us);
  const int cores = std::min(crowd, cpu_count());
  auto round = make(steps);
  const Side crowded{.sample = [&] {
    return timed(rounds, [&] {
      for (int done = 0; done < rounds; ++done) round();
    });
  }};
  const Side ideal{.sample = [&] {
    return timed(rounds * cores, [&] {
      for (int done = 0; done < rounds * crowd; ++done) keep(run_kernel(steps));
    });
  }};
  const auto [value, reference] = interleave(effort, crowded, ideal);
  return medians(value, reference);
}

// --- A million objects ----------------------------------------------------------------------------

constexpr int million = 1'000'000;

/// What `million` objects add to parent and workers, by object, beyond the objects themselves.
Measured bytes_beyond(const std::string& probe_name, const Effort& effort) {
  constexpr double bytes_in_kb = 1024;
  const int few = cpu_count();
  std::vector<double> added;
  for (int round = 0; round < effort.rounds; round += 16) {
    const double kb = probe(probe_name, million) - probe(probe_name, few);
    added.push_back(kb * bytes_in_kb / (million - few) - sizeof(Small));
  }
  return {.value = median(added), .reference_value = sizeof(Small)};
}

/// Few samples: each takes tens of milliseconds.
Measured in_milliseconds(const Effort& effort, const Side& value_side, const Side& serial_side) {
  constexpr double ns_in_ms = 1e6;
  const Effort few{std::max(2, effort.rounds / 4), 0ns, 0ns, effort.quick};
  const auto [value, reference] = interleave(few, value_side, serial_side);
  return {.value = value.median / ns_in_ms, .reference_value = reference.median / ns_in_ms};
}

/// Until every worker has made its objects.
Measured million_created(const Effort& effort) {
  std::optional<GroupHandler<Small>> group;
  const Side create{.sample =
                        [&] {
                          return timed(1, [&] {
                            group.emplace(std::in_place, million, make_small);
                            for (std::size_t i = 0; i < group->workers(); ++i) {
                              keep((*group)[i].call(&Small::add, 1.0).get());
                            }
                          });
                        },
                    .end = [&] { group.reset(); }};
  const Side alone{.sample = [] { return timed(1, [] { keep(make_smalls(million)); }); }};
  return in_milliseconds(effort, create, alone);
}

Measured million_mapped(const Effort& effort) {
  GroupHandler<Small> group{std::in_place, million, make_small};
  std::vector<Small> smalls = make_smalls(million);
  const Side map{.sample = [&] { return timed(1, [&] { keep(group.map(&Small::add, 1.0)); }); }};
  const Side loop{.sample = [&] {
    return timed(1, [&] {
      std::vector<double> results(million);
      std::transform(smalls.begin(), smalls.end(), results.begin(),
                     [](Small& small) { return small.add(1.0); });
      keep(*results.data());
    });
  }};
  return in_milliseconds(effort, map, loop);
}

Row memory_row(std::string name, std::string what, std::string probe_name, Target target) {
  target.judged = Target::Judged::value;
  return {.name = std::move(name),
          .what = std::move(what),
          .reference = "its own size",
          .measure = [name = std::move(probe_name)](
                         const Effort& effort) { return bytes_beyond(name, effort); },
          .target = target,
          .unit = "B"};
}

}  // namespace

std::vector<Row> group_rows() {
  return {
      {.name = "group_map_call",
       .what = "a call in a map over 10 000 objects, default workers",
       .reference = "ping-pong",
       .measure = group_map_call,
       .target = {.must = 0.15, .aim = 0.03},
       .needs_two_cores = true},
      {.name = "group_map_call/bound",
       .what = "the same with the method bound at compile time",
       .reference = "ping-pong",
       .measure = bound_group_map_call,
       .needs_two_cores = true},
      {.name = "oversubscribed_round",
       .what = "4 workers of a group, a call of 5 us each through run()",
       .reference = "ideal round",
       .measure = [](const Effort& e) { return oversubscribed_round(e, crowded_group); },
       .target = {.must = 1.6, .aim = 1.2},
       .needs_two_cores = true},
      {.name = "oversubscribed_round/calls",
       .what = "the same with 4 handlers, a call to each, then all results",
       .reference = "ideal round",
       .measure = [](const Effort& e) { return oversubscribed_round(e, crowded_handlers); },
       .needs_two_cores = true},
      memory_row("million_objects",
                 "memory of each of 1 000 000 small objects in a group beyond its own size",
                 "pss_made_group", {.must = 64, .aim = 16}),
      memory_row("million_objects/carried", "the same of objects that come from a vector",
                 "pss_carried_group", {}),
      {.name = "million_objects/create",
       .what = "constructor of that group until each worker has answered",
       .reference = "a vector of them",
       .measure = million_created,
       .unit = "ms"},
      {.name = "million_objects/map",
       .what = "one map over that group",
       .reference = "serial loop",
       .measure = million_mapped,
       .unit = "ms"},
  };
}

}  // namespace apalis::bench
