// SPDX-License-Identifier: BSL-1.0
#include "blocks.hpp"

#include <apalis/detail/sys/process_stamp.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace apalis::fuzz {

namespace channel = detail::channel;
namespace wire = detail::wire;
using channel::BlockName;

namespace {

constexpr std::uint64_t address_mask = (std::uint64_t{1} << BlockName::address_bits) - 1;

template <class T>
wire::Buffer encoded(const T& value) {
  wire::Buffer buffer;
  wire::encode(buffer, value);
  return buffer;
}

channel::Slice make_slice() {
  const auto held = detail::sys::lock_forks();
  return channel::Slice{channel::Region::of_this_process(held), held};
}

/// Calls `use` for each place where a name can be.
template <class Use>
void for_each_name(std::span<std::byte> bytes, Use use) {
  for (std::size_t at = 0; at + sizeof(BlockName) <= bytes.size();) {
    BlockName name;
    std::memcpy(&name, bytes.data() + at, sizeof name);
    const bool changed = use(name);
    if (changed) std::memcpy(bytes.data() + at, &name, sizeof name);
    at += changed ? sizeof name : 1;
  }
}

}  // namespace

Blocks& Blocks::here() {
  static Blocks* const all = new Blocks;  // never destroyed: whoever looks for leaks still sees it
  return *all;
}

Blocks::Blocks()
    : numbers(100, 7),
      grid(8, 16),
      vector(put(std::vector<int>(50, 3))),
      notes(put(Notes{{"one", "two", ""}})),
      file(share(std::string("a text in a file"), {.directory = "/tmp"})),
      barrier(2),
      slice_(make_slice()) {
  limit_ref_cache(std::size_t{1} << 12);
  for (const auto& each : {encoded(numbers), encoded(grid), encoded(vector), encoded(notes),
                           encoded(file), encoded(barrier)})
    add(each);
  // One that is gone, and one of a process that nobody knows.
  std::memcpy(&names_[6], encoded(SharedArray<int>(10)).data(), sizeof names_[6]);
  names_[7] = names_[0];
  names_[7].table ^= 1U;
}

void Blocks::add(const wire::Buffer& encoded) {
  std::memcpy(&names_.at(blocks_.size()), encoded.data(), sizeof(BlockName));
  encoded.holds().for_each([this](const wire::Hold& hold) {
    blocks_.push_back(&static_cast<const channel::Block&>(hold));
  });
}

void Blocks::translate(std::span<std::byte> bytes) const noexcept {
  for_each_name(bytes, [this](BlockName& name) {
    if (name.table != marker) return false;
    const BlockName& real = names_[name.index() % named];
    const auto index = (std::uint64_t{real.index()} + name.index() / named) & 0xffffU;
    name.table = real.table;
    name.generation += real.generation;
    name.place =
        ((real.address() + name.address()) & address_mask) | index << BlockName::address_bits;
    return true;
  });
}

void Blocks::make_script(std::span<std::byte> bytes) const noexcept {
  for_each_name(bytes, [this](BlockName& name) {
    for (std::size_t which = 0; which < blocks_.size(); ++which) {
      const BlockName& real = names_[which];
      if (name.table != real.table || name.index() != real.index()) continue;
      name.table = marker;
      name.generation -= real.generation;
      name.place = ((name.address() - real.address()) & address_mask) |
                   std::uint64_t{which} << BlockName::address_bits;
      return true;
    }
    return false;
  });
}

Blocks::ReplyName Blocks::reply_name(std::uint8_t which, std::uint8_t generation) const noexcept {
  const BlockName& real = names_[which % named];
  return {real.index() + static_cast<std::uint32_t>(which / named), real.generation + generation};
}

void Blocks::require_untouched() const {
  for (const auto* const block : blocks_)
    if (!block->is_last_reference()) {
      std::fprintf(stderr, "an input left a reference\n");
      std::abort();
    }
  if (channel::waiting_blocks.load() != 0) {
    std::fprintf(stderr, "an input left a block that waits\n");
    std::abort();
  }
}

}  // namespace apalis::fuzz
