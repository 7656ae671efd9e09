// SPDX-License-Identifier: BSL-1.0
#pragma once

// The values that this process made for Refs: each at most once, those used last kept for later.

#include <apalis/detail/actor/ref_block.hpp>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/sys/mapped_file.hpp>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

namespace apalis::detail::actor {

/// **Owns** values of RefKey::bytes together up to its limit. One a process.
/// **Threads:** any.
class RefCache {
 public:
  [[nodiscard]] static RefCache& of_this_process();

  RefCache();
  ~RefCache();
  RefCache(const RefCache&) = delete;
  RefCache& operator=(const RefCache&) = delete;

  /// For obtain(). Recursive: a value may hold Refs.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> lock();
  /// The value, made by `make` if it is not there. Throws what that throws.
  [[nodiscard]] std::shared_ptr<const void> obtain(const RefKey& key, MakeRefValue make);

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

}  // namespace apalis::detail::actor
