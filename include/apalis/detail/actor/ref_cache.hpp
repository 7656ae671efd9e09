// SPDX-License-Identifier: BSL-1.0
#pragma once

// The values that this process made for Refs: each at most once, those used last kept for later.

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/core/function_ref.hpp>
#include <apalis/detail/sys/mapped_file.hpp>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>

namespace apalis::detail::actor {

/// Whose value it is.
struct RefKey {
  channel::Block* block;
  std::span<const std::byte> bytes;
  const void* type;
};

/// **Owns** values of RefKey::bytes together up to its limit. One a process.
/// **Threads:** any.
class RefCache {
 public:
  using Make = FunctionRef<std::shared_ptr<const void>(std::span<const std::byte>)>;

  [[nodiscard]] static RefCache& of_this_process();

  RefCache();
  ~RefCache();
  RefCache(const RefCache&) = delete;
  RefCache& operator=(const RefCache&) = delete;

  /// For obtain(). Recursive: a value may hold Refs.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> lock();
  /// The value, made by `make` if it is not there. Throws what that throws.
  [[nodiscard]] std::shared_ptr<const void> obtain(const RefKey& key, Make make);

  void limit(std::size_t bytes) noexcept;

  /// The file behind a block, mapped now if it is not among those used last.
  [[nodiscard]] std::shared_ptr<const sys::MappedFile> file_of(const channel::BlockPointer& block);
  /// Whoever made them may have let go of them meanwhile.
  void forget_files() noexcept;
  [[nodiscard]] bool has_files() const noexcept { return has_files_.load(std::memory_order_relaxed); }

 private:
  struct Values;
  void evict() noexcept;

  std::recursive_mutex mutex_;
  std::unique_ptr<Values> values_;
  std::size_t limit_ = std::size_t{256} << 20;
  std::atomic<bool> has_files_{false};
};

/// Copies the bytes into a new block and gives where they are.
[[nodiscard]] std::span<const std::byte> fill_block(const channel::BlockPointer& block,
                                                    std::span<const std::byte> bytes);
/// A new block that stands for a new file in `directory` with these bytes, and where they can be read.
struct FileBlock {
  channel::BlockPointer block;
  std::shared_ptr<const sys::MappedFile> file;
};
[[nodiscard]] FileBlock make_file_block(const std::string& directory,
                                        std::span<const std::byte> bytes);
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
