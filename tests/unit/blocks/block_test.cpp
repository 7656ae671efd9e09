// SPDX-License-Identifier: BSL-1.0
// Apart from the channel's other tests, which look at processes that have no region yet.
#include <algorithm>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/leak_check.hpp"
#include "support/shared_bytes.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
namespace wire = apalis::detail::wire;
using namespace apalis::detail::channel;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::shared_bytes;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

/// A link's part in this: a slice, and a record of what its worker may have.
struct Link {
  Slice slice{Region::of_this_process(sys::lock_forks()), sys::lock_forks()};
  ControlPage& control = *SliceView::at(slice.base()).control;
  BlockLedger ledger;
  std::uint32_t next = 0;

  explicit Link(const Inheritance& inheritance = {})
      : ledger(slice.region(), slice.index(), inheritance) {
    control.calls.considered = control.calls.finished = nothing_yet;
    ledger.begin();
  }
  void made() { control.calls.made = 1; }
  std::uint32_t send(const BlockPointer& block) {
    wire::Buffer message;
    (void)name_block(block, block->bytes(), message);
    ledger.prepare(message.holds());
    ledger.grant(message.holds(), next);
    return next++;
  }
  HeldWord& held(const BlockName& name) { return slice.region().held(slice.index(), name.index()); }
};

BlockName name_of(const BlockPointer& block) {
  wire::Buffer message;
  return name_block(block, block->bytes(), message);
}

bool is_found(const BlockName& name) {
  try {
    return find_block(name).get() != nullptr;
  } catch (const wire::Malformed&) {
    return false;
  }
}

}  // namespace

void apalis_test_warm_up() {
  (void)make_block(1);
}

TEST_CASE("a block is found by its name as long as somebody refers to it", "[block]") {
  std::optional<BlockPointer> block{make_block(100)};
  const auto name = name_of(*block);
  CHECK(find_block(name).get() == block->get());
  CHECK(find_block(BlockName{}).get() == nullptr);
  wire::Buffer message;
  (void)name_block(*block, (*block)->bytes().subspan(3, 5), message);
  block.reset();
  CHECK(is_found(name));
  wire::Buffer copy;
  copy.append_all(message);
  message.clear();
  CHECK(is_found(name));
  wire::Buffer moved = std::move(copy);
  CHECK(is_found(name));
  moved = wire::Buffer{};
  CHECK_FALSE(is_found(name));
  const auto again = make_block(100);
  CHECK(name_of(again).index() == name.index());
  CHECK_FALSE(is_found(name));
}

TEST_CASE("a name that is not quite right is refused", "[block]") {
  const auto block = make_block(2 * sys::page_size);
  const auto right = name_of(block);
  const auto refuses = [&](auto change) {
    BlockName wrong = right;
    change(wrong);
    return !is_found(wrong);
  };
  CHECK(is_found(right));
  CHECK(refuses([](BlockName& n) { n.table += 1; }));
  CHECK(refuses([](BlockName& n) { n.generation += 1; }));
  CHECK(refuses([](BlockName& n) { n.place += std::uint64_t{1} << BlockName::address_bits; }));
  CHECK(refuses([](BlockName& n) { n.place |= ~std::uint64_t{0} << BlockName::address_bits; }));
  CHECK(refuses([](BlockName& n) { n.place += 1; }));  // so that the end is outside
  CHECK(refuses([](BlockName& n) { n.place -= 1; }));
  CHECK(refuses([](BlockName& n) { n.bytes += 1; }));
  CHECK(refuses([](BlockName& n) { n.bytes = ~std::uint64_t{0}; }));
  std::mt19937_64 random{5};
  for (int i = 0; i < 100'000; ++i) {
    BlockName name = right;
    auto* const bytes = reinterpret_cast<std::uint8_t*>(&name);
    for (auto changes = random() % 3 + 1; changes > 0; --changes)
      bytes[random() % sizeof name] = static_cast<std::uint8_t>(random());
    try {
      const auto found = find_block(name);
      if (found.get() == nullptr) continue;
      CHECK(found.get() == block.get());
      CHECK(name.bytes <= 2 * sys::page_size);
    } catch (const wire::Malformed&) {
    }
  }
}

TEST_CASE("a block goes back once the request that brought it is over", "[block]") {
  const auto before = shared_bytes();
  Link link;
  link.made();
  std::optional<BlockPointer> block{make_block(megabyte)};
  const auto position = link.send(*block);
  block.reset();
  CHECK(waiting_blocks == 1);
  SECTION("finished") {
    link.control.calls.finished = position;
  }
  SECTION("and others after it") {
    link.control.calls.finished = position + 7;
  }
  SECTION("dropped, as one behind it is considered") {
    link.control.calls.considered = position;
    link.ledger.look_again();
    CHECK(waiting_blocks == 1);
    link.control.calls.considered = position + 1;
  }
  CHECK(shared_bytes() >= before + megabyte);
  link.ledger.look_again();
  CHECK(waiting_blocks == 0);
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("a block stays while the worker says that it has it", "[block]") {
  const auto before = shared_bytes();
  std::optional<Link> link{std::in_place};
  link->made();
  std::optional<BlockPointer> block{make_block(megabyte)};
  const auto name = name_of(*block);
  link->control.calls.finished = link->send(*block);
  link->held(name).count = 2;
  block.reset();
  CHECK(waiting_blocks == 1);
  CHECK(link->control.orders.tell_let_go == 1);
  link->ledger.look_again();
  CHECK(waiting_blocks == 1);
  SECTION("until it lets go") {
    link->held(name).count = 0;
    link->control.calls.let_go = 1;
    link->ledger.look_again();
    CHECK(link->control.orders.tell_let_go == 0);
  }
  SECTION("until somebody else needs memory") {
    link->held(name).count = 0;
    (void)make_block(1);
  }
  SECTION("until it ends") {
    link->ledger.end();
    CHECK(link->held(name).count == 0);
  }
  SECTION("until it ends for good") {
    link.reset();
  }
  CHECK(waiting_blocks == 0);
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("a block stays while a reply that names it is on its way", "[block]") {
  const auto before = shared_bytes();
  Link link;
  link.made();
  std::optional<BlockPointer> block{make_block(megabyte)};
  const auto name = name_of(*block);
  link.control.calls.finished = link.send(*block);
  link.held(name).in_reply = reply_mark(5);
  block.reset();
  link.ledger.look_again();
  CHECK(waiting_blocks == 1);
  struct {
    std::uint32_t index, generation;
  } words{name.index(), name.generation};
  const auto bytes = std::as_bytes(std::span(&words, 1));
  {
    wire::Holds holds;
    CHECK(link.ledger.take_reply(bytes, 6, holds));
    link.ledger.look_again();
    CHECK(find_block(name)->bytes().size() == megabyte);
  }
  CHECK(waiting_blocks == 0);
  CHECK(shared_bytes() < before + megabyte);
  wire::Holds none;
  CHECK_FALSE(link.ledger.take_reply(bytes, 7, none));  // it is gone
  words.index = most_blocks;
  CHECK_FALSE(link.ledger.take_reply(bytes, 7, none));
  CHECK_FALSE(link.ledger.take_reply(bytes.first(3), 7, none));
}

TEST_CASE("names behind a reply are cut off, or there are none", "[block]") {
  std::vector<std::byte> reply(5 + 2 * 8 + 4);
  const auto set_count = [&](std::uint32_t count) {
    std::memcpy(reply.data() + reply.size() - 4, &count, sizeof count);
  };
  const auto cut = [&] {
    std::span<const std::byte> all{reply};
    const auto names = cut_names(all);
    return names ? std::optional{std::pair{all.size(), names->size()}} : std::nullopt;
  };
  set_count(2);
  CHECK(cut() == std::pair<std::size_t, std::size_t>{5, 16});
  set_count(0);
  CHECK(cut() == std::pair<std::size_t, std::size_t>{21, 0});
  set_count(3);
  CHECK_FALSE(cut());
  set_count(~0U);
  CHECK_FALSE(cut());
  reply.resize(3);
  CHECK_FALSE(cut());
}

TEST_CASE("a worker has what there was at its birth until its object is made", "[block]") {
  std::optional<BlockPointer> earlier{make_block(10)};
  Link link;
  std::optional<BlockPointer> later{make_block(10)};
  later.reset();
  CHECK(waiting_blocks == 0);
  earlier.reset();
  CHECK(waiting_blocks == 1);
  link.made();
  link.ledger.look_again();
  CHECK(waiting_blocks == 0);
}

TEST_CASE("what is carried stays with the worker", "[block]") {
  std::optional<BlockPointer> carried{make_block(10)};
  const BlockPointer also_here = *carried;
  std::optional<BlockPointer> other{make_block(10)};
  const int maker = 0;
  std::optional<Link> link{std::in_place, Inheritance{.maker = &maker}};
  link->made();
  {
    const CarriedEnd end{&maker};
    carried.reset();
  }
  other.reset();
  CHECK(waiting_blocks == 0);
  { const BlockPointer last = std::move(const_cast<BlockPointer&>(also_here)); }
  CHECK(waiting_blocks == 1);
  link->ledger.end();  // another worker may be made of the same
  CHECK(waiting_blocks == 1);
  link.reset();
  CHECK(waiting_blocks == 0);
}

TEST_CASE("references are counted from many threads", "[block]") {
  const auto before = shared_bytes();
  for (int round = 0; round < 100; ++round) {
    std::optional<BlockPointer> block{make_block(megabyte)};
    const auto name = name_of(*block);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([mine = *block, name] {
        for (int j = 0; j < 100; ++j) {
          const BlockPointer copy = mine;
          CHECK(find_block(name).get() == copy.get());
          (void)make_block(1);
        }
      });
    block.reset();
    for (auto& thread : threads) thread.join();
  }
  CHECK(shared_bytes() < before + megabyte);
}

TEST_CASE("full memory is a SystemError that leaves the table as it was", "[block]") {
  (void)make_block(1);
  for (int after = 0; after < 3; ++after) {
    const apalis::test::Refusing full(sys::Call::back, ENOSPC, after, 1);
    try {
      (void)make_block(megabyte);
    } catch (const apalis::SystemError& e) {
      CHECK(e.code() == ENOSPC);
    }
  }
  CHECK(name_of(make_block(1)).index() == 0);
}

TEST_CASE("a worker receives, counts and lets go", "[block]") {
  Link link;
  link.made();
  std::optional<BlockPointer> block{make_block(megabyte)};
  const auto name = name_of(*block);
  (void)link.send(*block);
  CHECK(in_child([&] {
          auto& region = link.slice.region();
          expect(region.isolate(link.slice.index()), "isolate");
          enter_worker(region, link.slice.index());
          auto& held = link.held(name);
          {
            const auto mine = find_block(name);
            expect(held.count == 1, "one");
            const auto copy = mine;
            expect(held.count == 2, "two");
            mine->bytes()[megabyte - 1] = std::byte{7};
            const auto inherited = *block;  // copied from the parent's memory
            expect(held.count == 3 && inherited.get() == mine.get(), "three");
            wire::Buffer reply;
            reply.set_for_parent();
            const auto up = name_block(mine, mine->bytes().first(100), reply);
            expect(up.table == name.table && up.index() == name.index(), "the parent's name");
            finish_reply(reply, 9);
            expect(held.in_reply == reply_mark(9) && held.count == 4, "in a reply");
            wire::Buffer request;
            const auto down = name_block(mine, mine->bytes(), request);
            expect(down.table != name.table, "its own name");
            expect(find_block(down).get() == mine.get(), "found by its own name");
          }
          expect(held.count == 0, "none");
          bool refused = false;
          try {
            wire::Buffer reply;
            reply.set_for_parent();
            const auto own = make_block(10);
            (void)name_block(own, own->bytes(), reply);
          } catch (const apalis::Error&) {
            refused = true;
          }
          expect(refused, "its own block can be sent up");
        }) == fine);
  CHECK((*block)->bytes()[megabyte - 1] == std::byte{7});
}
