// SPDX-License-Identifier: BSL-1.0
#include <sys/mman.h>

#include <algorithm>
#include <apalis/detail/channel/block_space.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using namespace apalis::detail::channel;
using apalis::SystemError;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Refusing;

namespace {

constexpr std::size_t page = 4096;
constexpr const char* segfault = "killed by signal 11";

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::size_t resident_pages(std::span<std::byte> block) {
  std::vector<unsigned char> there(block.size() / page);
  REQUIRE(::mincore(block.data(), block.size(), there.data()) == 0);
  return static_cast<std::size_t>(
      std::ranges::count_if(there, [](unsigned char c) { return (c & 1) != 0; }));
}

void touch(const std::byte* address) {
  (void)*static_cast<const volatile std::byte*>(address);
}

}  // namespace

TEST_CASE("ranges are taken first fit and in whole pages", "[block_space]") {
  BlockSpace space{10 * page};
  CHECK(space.reach() == 0);
  CHECK(space.take(1) == 0);
  CHECK(space.take(page + 1) == page);
  CHECK(space.take(page) == 3 * page);
  CHECK(space.reach() == 4 * page);
  space.give_back(page, page + 1);
  CHECK(space.take(3 * page) == 4 * page);
  CHECK(space.take(page) == page);
  CHECK(space.take(page) == 2 * page);
  CHECK(space.reach() == 7 * page);
  CHECK_FALSE(space.take(4 * page));
  CHECK_FALSE(space.take(SIZE_MAX));
  CHECK(space.take(3 * page) == 7 * page);
  CHECK_FALSE(space.take(1));
}

TEST_CASE("what is given back joins its neighbours", "[block_space]") {
  BlockSpace space{4 * page};
  for (int order = 0; order < 24; ++order) {
    std::vector<std::size_t> taken;
    for (int i = 0; i < 4; ++i) taken.push_back(space.take(page).value());
    CHECK_FALSE(space.take(1));
    std::vector<std::size_t> next = taken;
    for (int i = 0; i < order; ++i) std::ranges::next_permutation(next);
    for (const auto offset : next) space.give_back(offset, page);
    REQUIRE(space.take(4 * page) == 0);
    space.give_back(0, 4 * page);
  }
}

TEST_CASE("a space without addresses has nothing to give", "[block_space]") {
  BlockSpace space{0};
  CHECK_FALSE(space.take(1));
}

TEST_CASE("thousands of ranges at random never overlap", "[block_space]") {
  std::mt19937 random{7};
  constexpr std::size_t pages = 512;
  BlockSpace space{pages * page};
  std::vector<char> used(pages);
  struct Taken {
    std::size_t offset, bytes;
  };
  std::vector<Taken> taken;
  for (int step = 0; step < 20'000; ++step) {
    if (taken.empty() || random() % 2 == 0) {
      const std::size_t bytes = random() % (20 * page) + 1;
      const auto offset = space.take(bytes);
      if (!offset) continue;
      taken.push_back({*offset, bytes});
      for (auto at = *offset / page; at < (*offset + bytes + page - 1) / page; ++at)
        REQUIRE(std::exchange(used.at(at), 1) == 0);
    } else {
      std::swap(taken[random() % taken.size()], taken.back());
      const auto [offset, bytes] = taken.back();
      taken.pop_back();
      for (auto at = offset / page; at < (offset + bytes + page - 1) / page; ++at) used[at] = 0;
      space.give_back(offset, bytes);
    }
  }
  for (const auto [offset, bytes] : taken) space.give_back(offset, bytes);
  CHECK(space.take(pages * page) == 0);
}

TEST_CASE("a block is zero, backed, and its memory goes back", "[region]") {
  Region region{1, 64 * page};
  for (int round = 0; round < 3; ++round) {
    const auto block = region.acquire_block(10 * page + 1);
    CHECK(block.size() == 11 * page);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % page == 0);
    CHECK(resident_pages(block) == 11);
    CHECK(is_zero(block));
    std::memset(block.data(), round + 1, block.size());
    region.release_block(block);
    CHECK(resident_pages(block) == 0);
  }
}

TEST_CASE("blocks and slices do not overlap", "[region]") {
  Region region{2, 8 * page};
  (void)region.acquire(sys::lock_forks());
  const auto second = region.acquire(sys::lock_forks());
  const auto blocks = region.block_range();
  CHECK(blocks.size() == 8 * page);
  CHECK(blocks.data() >= region.base(second) + slice_bytes);
  const auto all = region.acquire_block(8 * page);
  std::memset(all.data(), 0xff, all.size());
  CHECK_THROWS_AS(region.acquire_block(1), SystemError);
  region.release_block(all);
  CHECK(region.acquire_block(1).data() == blocks.data());
}

TEST_CASE("full memory is a SystemError and loses no addresses", "[region]") {
  Region region{1, 8 * page};
  {
    const Refusing full(sys::Call::back, ENOSPC);
    CHECK_THROWS_AS(region.acquire_block(8 * page), SystemError);
  }
  CHECK(is_zero(region.acquire_block(8 * page)));
}

TEST_CASE("a kernel that can't discard leaves zeros all the same", "[region]") {
  Region region{1, 2 * page};
  const auto block = region.acquire_block(2 * page);
  std::memset(block.data(), 0xff, block.size());
  {
    const Refusing refusing(sys::Call::discard, EOPNOTSUPP);
    region.release_block(block);
  }
  CHECK(is_zero(region.acquire_block(2 * page)));
}

TEST_CASE("a child sees the blocks that there were at its fork, and no later ones", "[region]") {
  Region region{2, 8 * page};
  const auto mine = region.acquire(sys::lock_forks());
  CHECK(in_child([&] {
          (void)region.isolate(mine);
          touch(region.block_range().data());
        }) == segfault);
  const auto earlier = region.acquire_block(2 * page);
  const auto isolated = [&](auto look) {
    return in_child([&] {
      (void)region.isolate(mine);
      look();
    });
  };
  CHECK(isolated([&] {
          std::memset(earlier.data(), 5, earlier.size());
          touch(region.base(mine));
        }) == fine);
  CHECK(earlier.back() == std::byte{5});
  CHECK(isolated([&] { touch(region.base(mine + 1)); }) == segfault);
  CHECK(isolated([&] { touch(earlier.data() + earlier.size()); }) == segfault);
  CHECK(isolated([&] { touch(region.block_range().data() + region.block_range().size() - 1); }) ==
        segfault);
  CHECK(isolated([&] {
          const auto later = earlier.data() + earlier.size();
          expect(sys::show(later, page), "it can't be shown");
          *later = std::byte{6};
        }) == fine);
  CHECK(earlier.data()[earlier.size()] == std::byte{6});
}
