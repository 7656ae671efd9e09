// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/ref_cache.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <cstdint>
#include <cstring>
#include <list>
#include <unordered_map>

namespace apalis::detail::actor {
namespace {

constinit sys::PerProcess<RefCache> caches;

constexpr std::size_t most_files = 4;  // kept mapped between calls

}  // namespace

struct RefCache::Values {
  /// Entries of the table of blocks are used again, under another generation.
  struct Identity {
    const channel::Block* block;
    std::uint32_t generation;
    const std::byte* bytes;
    const void* type;
    bool operator==(const Identity&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Identity& id) const noexcept {
      return std::hash<const void*>{}(id.bytes) ^ (std::size_t{id.generation} << 20U) ^
             std::hash<const void*>{}(id.type);
    }
  };
  struct Entry {
    Identity identity;
    std::shared_ptr<const void> value;
    std::size_t bytes;
  };

  struct File {
    const channel::Block* block;
    std::uint32_t generation;
    std::shared_ptr<const sys::MappedFile> file;
  };

  std::list<File> files;  // the last one first
  std::list<Entry> used;  // the same
  std::unordered_map<Identity, std::list<Entry>::iterator, Hash> found;
  std::size_t bytes = 0;
};

RefCache& RefCache::of_this_process() {
  return caches.get();
}

RefCache::RefCache() : values_(std::make_unique<Values>()) {}
RefCache::~RefCache() = default;

std::unique_lock<std::recursive_mutex> RefCache::lock() {
  return std::unique_lock<std::recursive_mutex>{mutex_};
}

std::shared_ptr<const void> RefCache::obtain(const RefKey& key, MakeRefValue make) {
  Values& values = *values_;
  const Values::Identity identity{key.block, key.block->generation(), key.bytes.data(), key.type};
  if (const auto at = values.found.find(identity); at != values.found.end()) {
    values.used.splice(values.used.begin(), values.used, at->second);
    return at->second->value;
  }
  std::shared_ptr<const void> value;
  if (key.block->is_own()) {
    // Workers can write there: what they can still change is not decoded in place.
    wire::Buffer copy;
    copy.append(key.bytes.data(), key.bytes.size());
    value = make(copy.bytes());
  } else {
    value = make(key.bytes);
  }
  if (key.bytes.size() > limit_) return value;
  values.used.push_front({identity, value, key.bytes.size()});
  try {
    values.found.emplace(identity, values.used.begin());
  } catch (...) {
    values.used.pop_front();
    throw;
  }
  values.bytes += key.bytes.size();
  evict();
  return value;
}

void RefCache::limit(std::size_t bytes) noexcept {
  const auto held = lock();
  limit_ = bytes;
  evict();
}

void RefCache::evict() noexcept {
  Values& values = *values_;
  while (values.bytes > limit_) {
    const auto last = values.used.back();  // destroyed at the end: it may use the cache
    values.found.erase(last.identity);
    values.used.pop_back();
    values.bytes -= last.bytes;
  }
}

std::shared_ptr<const sys::MappedFile> RefCache::file_of(const channel::BlockPointer& block) {
  // What others wrote into the block is not believed where it was made.
  if (block->is_own()) {
    if (block->companion() == nullptr)
      throw wire::Malformed("malformed message: it names a file that there is not");
    return std::static_pointer_cast<const sys::MappedFile>(block->companion());
  }
  const auto held = lock();
  auto& files = values_->files;
  const auto at = std::ranges::find_if(files, [&](const Values::File& each) {
    return each.block == block.get() && each.generation == block->generation();
  });
  if (at != files.end()) {
    files.splice(files.begin(), files, at);
    return at->file;
  }
  sys::MappedFile::Place place;
  std::memcpy(&place, block->bytes().data(), sizeof place);
  files.push_front({block.get(), block->generation(), sys::MappedFile::of_process(place)});
  if (files.size() > most_files) files.pop_back();
  has_files_.store(true, std::memory_order_relaxed);
  return files.front().file;
}

void RefCache::forget_files() noexcept {
  const auto held = lock();
  values_->files.clear();
  has_files_.store(false, std::memory_order_relaxed);
}

}  // namespace apalis::detail::actor
