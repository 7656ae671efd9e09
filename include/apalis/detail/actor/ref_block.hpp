// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a Ref is besides its type: bytes in a block, or in a file that a block stands for, and the
// value that this process made of them.

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/core/function_ref.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace apalis::detail::actor {

/// Whose value it is.
struct RefKey {
  channel::Block* block;
  std::span<const std::byte> bytes;
  const void* type;
};

using MakeRefValue = FunctionRef<std::shared_ptr<const void>(std::span<const std::byte>)>;

/// Where `value` stays once it is not null. It is set to the value that this process has, made by
/// `make` if it has none. **Threads:** any, with the same `value` too. **Throws** what `make` throws.
const void* obtain_value(std::shared_ptr<const void>& value, const RefKey& key, MakeRefValue make);

/// find_block() for a Ref.
[[nodiscard]] channel::BlockPointer find_ref(const channel::BlockName& name);
/// Copies the bytes into a new block and gives where they are.
[[nodiscard]] std::span<const std::byte> fill_block(const channel::BlockPointer& block,
                                                    std::span<const std::byte> bytes);
/// The bytes of a file, for as long as it is kept.
struct RefFile {
  std::shared_ptr<const void> kept;
  std::span<const std::byte> bytes;
};
/// A new block that stands for a new file in `directory` with these bytes, and where they can be read.
struct FileBlock {
  channel::BlockPointer block;
  RefFile file;
};
[[nodiscard]] FileBlock make_file_block(const std::string& directory,
                                        std::span<const std::byte> bytes);
/// The file that a block stands for.
[[nodiscard]] RefFile file_of(const channel::BlockPointer& block);
/// Marks a name as that of such a block, and tells whether it was one.
void mark_as_file(channel::BlockName& name) noexcept;
[[nodiscard]] bool unmark_file(channel::BlockName& name) noexcept;
/// What a name that find_block() took is for.
[[nodiscard]] std::span<const std::byte> part_of_block(const channel::BlockName& name) noexcept;
/// Throws Error for a Ref to nothing, or to what a fork outlived.
void require_ref(const channel::BlockPointer& block);
/// Throws Error for a value that has SharedArrays or Refs in it, whose memory nobody would hold.
void require_nothing_named(const wire::Buffer& encoded);

}  // namespace apalis::detail::actor
