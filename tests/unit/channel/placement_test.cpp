// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/channel/placement.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::channel;
namespace sys = apalis::detail::sys;

namespace {

/// A header and what one worker has in its slice. Cores far beyond those that there are: nobody is
/// moved there, but what is claimed can be seen.
struct Fixture {
  std::unique_ptr<RegionHeader> header = std::make_unique<RegionHeader>();
  std::array<int, 3> cores{1000, 1001, 1002};
  CoreHint parent{};
  std::atomic<std::uint32_t> claim{0};

  Placement placement() { return {*header, cores, parent, claim}; }
  int on(int core) const { return header->workers_on[core].load(); }
  void claim_by_others(int core, int count) {
    header->workers_on[core].store(static_cast<std::uint16_t>(count));
  }
  void parent_waits_on(int core) { parent.core.store(static_cast<std::uint32_t>(core) + 1); }
};

}  // namespace

TEST_CASE("a worker claims the core that it waits on, one at a time", "[placement]") {
  Fixture f;
  auto placement = f.placement();
  placement.note(1000, false);
  CHECK(f.on(1000) == 1);
  CHECK(f.claim == 1001);
  placement.note(1001, false);
  CHECK(f.on(1000) == 0);
  CHECK(f.on(1001) == 1);
  placement.leave();
  CHECK(f.on(1001) == 0);
  CHECK(f.claim == 0);
}

TEST_CASE("of two workers on one core, one goes where none is", "[placement]") {
  Fixture f;
  f.claim_by_others(1000, 1);
  f.claim_by_others(1001, 1);
  auto placement = f.placement();
  placement.note(1000, false);
  CHECK(f.on(1000) == 1);
  CHECK(f.on(1001) == 1);
  CHECK(f.on(1002) == 1);
  CHECK(f.claim == 1003);
}

TEST_CASE("a worker stays where it is if another core would be as crowded", "[placement]") {
  Fixture f;
  for (const int core : f.cores) f.claim_by_others(core, 1);
  auto placement = f.placement();
  placement.note(1000, false);
  CHECK(f.on(1000) == 2);
  CHECK(f.claim == 1001);
}

TEST_CASE("a worker leaves the core of the parent that waits for it, if one is free",
          "[placement]") {
  Fixture f;
  f.parent_waits_on(1000);
  auto placement = f.placement();
  placement.note(1000, true);
  CHECK(f.on(1000) == 0);
  CHECK(f.on(1001) == 1);
}

TEST_CASE("a worker shares the parent's core rather than another worker's", "[placement]") {
  Fixture f;
  f.cores = {1000, 1001, 1001};
  f.parent_waits_on(1000);
  f.claim_by_others(1001, 1);
  auto placement = f.placement();
  placement.note(1001, false);
  CHECK(f.on(1000) == 1);
  CHECK(f.on(1001) == 1);
}

TEST_CASE("a worker alone with the parent stays if every other core has a worker", "[placement]") {
  Fixture f;
  f.parent_waits_on(1000);
  f.claim_by_others(1001, 1);
  f.claim_by_others(1002, 1);
  auto placement = f.placement();
  placement.note(1000, true);
  CHECK(f.on(1000) == 1);
}

TEST_CASE("a core beyond those that are counted is used, and not counted", "[placement]") {
  Fixture f;
  auto placement = f.placement();
  placement.note(static_cast<int>(most_cores) + 5, true);
  placement.leave();
  CHECK(f.on(1000) == 0);
}

TEST_CASE("a dead worker's claim is given back once, whatever it left", "[placement]") {
  Fixture f;
  {
    auto placement = f.placement();
    placement.note(1000, false);
  }
  forget_claim(*f.header, f.claim);
  CHECK(f.on(1000) == 0);
  forget_claim(*f.header, f.claim);
  CHECK(f.on(1000) == 0);
  for (const std::uint32_t nonsense : {1001U, 1025U, 0xffffffffU}) {
    f.claim = nonsense;
    forget_claim(*f.header, f.claim);
    CHECK(f.claim == 0);
  }
  CHECK(f.on(1000) == 0);
}

TEST_CASE("a thread moves to another core that it may use, and may leave it again", "[placement]") {
  const auto cores = sys::allowed_core_list();
  if (cores.size() < 2) return;
  // In a thread of its own: the others keep their places.
  std::thread([&] {
    const int here = sys::current_core();
    const int there = here == cores[0] ? cores[1] : cores[0];
    CHECK(sys::move_to_core(there));
    CHECK(sys::allowed_core_list() == cores);
    CHECK_FALSE(sys::move_to_core(-1));
    CHECK_FALSE(sys::move_to_core(1 << 19));
  }).join();
}
