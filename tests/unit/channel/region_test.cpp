// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using namespace apalis::detail::channel;
using apalis::SystemError;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::read_all;
using apalis::test::Refusing;
using apalis::test::under_sanitizer;

namespace {

constexpr const char* segfault = "killed by signal 11";
constexpr std::size_t used_bytes = lane_bytes;

bool is_zero(const std::byte* data, std::size_t size) {
  return std::all_of(data, data + size, [](std::byte b) { return b == std::byte{0}; });
}

void touch(const std::byte* address) {
  (void)*static_cast<const volatile std::byte*>(address);
}

std::uint32_t acquire(Region& region) {
  return region.acquire(sys::lock_forks());
}
void release(Region& region, std::uint32_t slice) {
  region.release(slice, sys::lock_forks());
}

int code_of(auto action) {
  try {
    action();
  } catch (const SystemError& error) {
    return error.code();
  }
  return 0;
}

/// The sizes of this process's mappings of regions.
std::multiset<std::size_t> region_sizes() {
  std::istringstream maps{read_all("/proc/self/maps")};
  std::multiset<std::size_t> sizes;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:apalis ") == std::string::npos) continue;
    std::istringstream fields{line};
    std::size_t first = 0;
    std::size_t last = 0;
    char dash = 0;
    fields >> std::hex >> first >> dash >> last;
    sizes.insert(last - first);
  }
  return sizes;
}

}  // namespace

TEST_CASE("slices are aligned and do not overlap", "[region]") {
  Region region{4};
  std::vector<std::byte*> bases;
  bases.reserve(4);
  for (int i = 0; i < 4; ++i) bases.push_back(region.base(acquire(region)));
  std::ranges::sort(bases);
  for (std::size_t i = 0; i < bases.size(); ++i) {
    CHECK(reinterpret_cast<std::uintptr_t>(bases[i]) % 4096 == 0);
    if (i > 0) CHECK(bases[i] - bases[i - 1] >= static_cast<std::ptrdiff_t>(slice_bytes));
  }
  CHECK(bases[0] >= reinterpret_cast<std::byte*>(&region.header()) + sizeof(RegionHeader));
}

TEST_CASE("a slice starts zeroed", "[region]") {
  Region region{1};
  CHECK(is_zero(region.base(acquire(region)), slice_bytes));
}

TEST_CASE("a slice that was used is zeroed when it is used again", "[region]") {
  Region region{2};
  const auto first = acquire(region);
  const auto second = acquire(region);
  for (int round = 0; round < 3; ++round) {
    std::memset(region.base(first), 0xff, slice_bytes);
    std::memset(region.base(second), 0x55, slice_bytes);
    release(region, first);
    REQUIRE(acquire(region) == first);
    CHECK(is_zero(region.base(first), slice_bytes));
    CHECK(region.base(second)[17] == std::byte{0x55});
  }
}

TEST_CASE("a kernel that can't discard leaves no messages behind either", "[region]") {
  Region region{1};
  const auto slice = acquire(region);
  std::memset(region.base(slice), 0xff, slice_bytes);
  {
    const Refusing refusing(sys::Call::discard, EOPNOTSUPP);
    release(region, slice);
  }
  REQUIRE(acquire(region) == slice);
  CHECK(is_zero(region.base(slice), control_bytes + 2 * ring_bytes));
}

TEST_CASE("slices come back in any order", "[region]") {
  Region region{64};
  std::set<std::uint32_t> held;
  for (int round = 0; round < 10; ++round) {
    while (held.size() < 64) CHECK(held.insert(acquire(region)).second);
    CHECK_THROWS_AS(acquire(region), SystemError);
    for (int i = 0; i < 40; ++i) {
      auto which = held.begin();
      std::advance(which, (i * 7 + round) % static_cast<int>(held.size()));
      release(region, *which);
      held.erase(which);
    }
  }
}

TEST_CASE("a region without slices left throws, and serves again after a release", "[region]") {
  Region region{2};
  const auto first = acquire(region);
  (void)acquire(region);
  for (int i = 0; i < 3; ++i) CHECK(code_of([&] { (void)acquire(region); }) == ENOMEM);
  release(region, first);
  CHECK(acquire(region) == first);
  CHECK_THROWS_WITH(acquire(region), Catch::Matchers::ContainsSubstring("ulimit -v"));
}

TEST_CASE("what a fresh slice needs first has memory already", "[region]") {
  Region region{2};
  const auto slice = acquire(region);
  const auto view = SliceView::at(region.base(slice));
  // Where memory is full, these must not need any.
  const Refusing full(sys::Call::back, ENOMEM);
  Sender requests{view.requests, !region.backs_on_demand()};
  Sender replies{view.replies, !region.backs_on_demand()};
  const std::byte message[pair_bytes]{};
  for (int i = 0; i < 60; ++i) {
    CHECK(requests.try_send(1, message, 40));
    CHECK(replies.try_send(1, message, 8));
  }
}

TEST_CASE("full memory is a SystemError and loses no slice", "[region]") {
  Region region{2};
  const auto first = acquire(region);
  for (int refused = 0; refused < 2; ++refused) {
    const Refusing full(sys::Call::back, ENOSPC, refused);  // at the first page, at the second
    CHECK(code_of([&] { (void)acquire(region); }) ==
          (region.backs_on_demand() || refused == 0 ? ENOSPC : 0));
  }
  const auto second = acquire(region);
  CHECK(second != first);
  release(region, first);
  {
    const Refusing full(sys::Call::back, ENOSPC);
    CHECK(code_of([&] { (void)acquire(region); }) == ENOSPC);  // a used one this time
  }
  CHECK(acquire(region) == first);
  CHECK(is_zero(region.base(first), used_bytes));
}

TEST_CASE("a region that can't be made is a SystemError", "[region]") {
  for (const auto call : {sys::Call::memfd_create, sys::Call::ftruncate, sys::Call::seal,
                          sys::Call::mmap, sys::Call::back}) {
    const Refusing refusing(call, EPERM);
    CHECK(code_of([] { const Region region{2}; }) == EPERM);
  }
}

TEST_CASE("a region knows its machine", "[region]") {
  const Region region{1};
  auto& awake = region.header().awake.children;
  awake = sys::usable_cores() - 1;  // and the parent
  CHECK(region.occupancy().awake() == sys::usable_cores() - 1);
  CHECK_FALSE(region.occupancy().crowded());
  region.occupancy().wake();
  CHECK(awake == sys::usable_cores());
  CHECK(region.occupancy().crowded());
  CHECK(region.heavy_barriers() == sys::register_heavy_barrier());
  const Refusing refusing(sys::Call::membarrier, ENOSYS);
  CHECK_FALSE(Region{1}.heavy_barriers());
}

TEST_CASE("a child sees its own slice and the header, and no other slice", "[region]") {
  Region region{4};
  std::vector<std::uint32_t> slices;
  for (int i = 0; i < 4; ++i) {
    slices.push_back(acquire(region));
    std::memset(region.base(slices.back()), i + 1, 100);
  }
  std::ranges::sort(slices);
  for (const auto mine : slices) {
    CAPTURE(mine);
    const auto isolated = [&](auto look) {
      return in_child([&] {
        (void)region.isolate(mine);
        look();
      });
    };
    CHECK(isolated([&] {
            touch(region.base(mine));
            touch(region.base(mine) + used_bytes - 1);
            touch(region.base(mine) + slice_bytes - 1);
            std::memset(region.base(mine), 9, control_bytes);
            region.header().awake.children.fetch_add(1);
          }) == fine);
    CHECK(region.base(mine)[5] == std::byte{9});
    for (const auto other : slices) {
      if (other == mine) continue;
      CHECK(isolated([&] { touch(region.base(other)); }) == segfault);
      CHECK(isolated([&] { touch(region.base(other) + slice_bytes - 1); }) == segfault);
    }
    constexpr auto shown = control_bytes + generations_bytes;
    CHECK(isolated([&] { touch(reinterpret_cast<std::byte*>(&region.header()) + shown); }) ==
          segfault);
  }
  CHECK(region.header().awake.children == 4);
}

TEST_CASE("a kernel that can't hide slices leaves them visible", "[region]") {
  Region region{2};
  const auto mine = acquire(region);
  const auto other = acquire(region);
  CHECK(in_child([&] {
          const Refusing refusing(sys::Call::hide, ENOMEM);
          (void)region.isolate(mine);
          touch(region.base(other));
        }) == fine);
}

TEST_CASE("a Slice returns to its region", "[region]") {
  Region region{1};
  std::uint32_t index = 0;
  {
    Slice slice{region, sys::lock_forks()};
    index = slice.index();
    CHECK(slice.base() == region.base(index));
    CHECK(&slice.region() == &region);
    CHECK_THROWS_AS(acquire(region), SystemError);
    std::memset(slice.base(), 0xff, 100);
  }
  CHECK(acquire(region) == index);
  release(region, index);
  Slice slice{region, sys::lock_forks()};
  slice.reset();
  CHECK(acquire(region) == index);
  release(region, index);
  slice.reset();  // once is enough
  CHECK(acquire(region) == index);
}

// --- The region of a process, which is kept: these run in processes of their own ----------------

TEST_CASE("a process has one region, and a fork one of its own", "[region]") {
  CHECK(in_child([] {
          Region& region = Region::of_this_process(sys::lock_forks());
          expect(&Region::of_this_process(sys::lock_forks()) == &region, "there are two");
          std::byte* const base = region.base(acquire(region));
          base[0] = std::byte{'p'};
          expect(region_sizes().size() == 1, "more than one mapping");
          expect(in_child([&] {
                   Region& own = Region::of_this_process(sys::lock_forks());
                   expect(&own != &region, "the fork shares its parent's region");
                   own.base(acquire(own))[0] = std::byte{'c'};
                 }) == fine,
                 "the fork failed");
          expect(base[0] == std::byte{'p'}, "the fork wrote to its parent's region");
        }) == fine);
}

TEST_CASE("where addresses are short, a smaller region does", "[region]") {
  std::multiset<std::size_t> largest;
  for (const int failures : {0, 1, 3}) {
    CAPTURE(failures);
    CHECK(in_child([&] {
            const auto sizes = [] {
              (void)Region::of_this_process(sys::lock_forks());
              return region_sizes();
            };
            const auto full = in_child([&] { ::_exit(sizes().empty() ? 1 : 0); });
            expect(full == fine, "no region at all");
            const Refusing refusing(sys::Call::mmap, ENOMEM, 0, failures);
            const auto now = sizes();
            expect(now.size() == 1, "not one region");
            expect(refusing.asked() == failures + 1,
                   "tried " + std::to_string(refusing.asked()) + " times");
            expect(*now.begin() < (std::size_t{1100} << 30) >> failures, "it is not smaller");
          }) == fine);
  }
}

TEST_CASE("where there are no addresses at all, the region is a SystemError, and is tried again",
          "[region]") {
  CHECK(in_child([] {
          const auto make = [] { (void)Region::of_this_process(sys::lock_forks()); };
          for (const int code : {ENOMEM, EPERM, EMFILE}) {
            const Refusing refusing(sys::Call::mmap, code);
            expect(code_of(make) == code, "errno " + std::to_string(code) + " is lost");
          }
          expect(code_of(make) == 0, "it is not tried again");
        }) == fine);
}

TEST_CASE("a real limit on addresses", "[region]") {
  if (under_sanitizer) return;  // whose shadow takes terabytes
  CHECK(in_child([] {
          const rlimit limit{std::size_t{4} << 30, std::size_t{4} << 30};
          expect(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit failed");
          Region& region = Region::of_this_process(sys::lock_forks());
          region.base(acquire(region))[0] = std::byte{1};
          expect(*region_sizes().begin() < std::size_t{4} << 30, "it exceeds the limit");
        }) == fine);
  CHECK(in_child([] {
          const rlimit limit{1 << 20, 1 << 20};
          expect(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit failed");
          const auto make = [] { (void)Region::of_this_process(sys::lock_forks()); };
          expect(code_of(make) == ENOMEM, "no SystemError");
        }) == fine);
}

TEST_CASE("a real limit on file sizes", "[region]") {
  CHECK(in_child([] {
          const rlimit limit{std::size_t{1} << 30, std::size_t{1} << 30};
          expect(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit failed");
          const int code = code_of([] {
            Region& region = Region::of_this_process(sys::lock_forks());
            region.base(acquire(region))[0] = std::byte{1};
          });
          expect(code == 0 || code == EFBIG, "errno " + std::to_string(code));
        }) == fine);
}
