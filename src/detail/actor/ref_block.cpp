// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/ref_block.hpp>
#include <apalis/detail/actor/ref_cache.hpp>
#include <apalis/detail/sys/mapped_file.hpp>
#include <apalis/error.hpp>
#include <cstdint>
#include <cstring>
#include <utility>

namespace apalis::detail::actor {
namespace {

constexpr std::uint64_t file_bit = std::uint64_t{1} << 63;  // in BlockName::bytes

}  // namespace

const void* obtain_value(std::shared_ptr<const void>& value, const RefKey& key, MakeRefValue make) {
  RefCache& cache = RefCache::of_this_process();
  const auto lock = cache.lock();
  if (value == nullptr) value = cache.obtain(key, make);
  return value.get();
}

FileBlock make_file_block(const std::string& directory, std::span<const std::byte> bytes) {
  auto file = sys::MappedFile::make(directory, bytes);
  auto block = channel::make_block(sizeof(sys::MappedFile::Place));
  std::memcpy(block->bytes().data(), &file->place(), sizeof(sys::MappedFile::Place));
  block->mark(channel::BlockUse::value);
  block->set_companion(file);
  const auto readable = file->bytes();
  return {std::move(block), {std::move(file), readable}};
}

RefFile file_of(const channel::BlockPointer& block) {
  auto file = RefCache::of_this_process().file_of(block);
  const auto readable = file->bytes();
  return {std::move(file), readable};
}

channel::BlockPointer find_ref(const channel::BlockName& name) {
  auto block = channel::find_block(name);
  // What a worker wrote does not make a Ref of what is something else here.
  if (block.get() != nullptr && !block->is_own()) block->mark(channel::BlockUse::value);
  return block;
}

void mark_as_file(channel::BlockName& name) noexcept {
  name.bytes |= file_bit;
}

bool unmark_file(channel::BlockName& name) noexcept {
  const bool marked = (name.bytes & file_bit) != 0;
  name.bytes &= ~file_bit;
  return marked;
}

std::span<const std::byte> fill_block(const channel::BlockPointer& block,
                                      std::span<const std::byte> bytes) {
  block->mark(channel::BlockUse::value);
  const auto memory = block->bytes();
  if (!bytes.empty()) std::memcpy(memory.data(), bytes.data(), bytes.size());
  // What was there before is for nobody's eyes.
  std::memset(memory.data() + bytes.size(), 0, memory.size() - bytes.size());
  return memory.first(bytes.size());
}

std::span<const std::byte> part_of_block(const channel::BlockName& name) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): find_block() has checked it
  return {reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(name.address())),
          static_cast<std::size_t>(name.bytes)};
}

void require_ref(const channel::BlockPointer& block) {
  if (block.get() == nullptr)
    throw Error("apalis: this Ref refers to nothing: it was default-constructed or moved from");
  channel::require_block(block);
}

void require_nothing_named(const wire::Buffer& encoded) {
  if (!encoded.holds().empty())
    throw Error(
        "apalis: a value with SharedArrays or Refs in it can't be put(): pass them beside it, as "
        "arguments of their own");
}

}  // namespace apalis::detail::actor
