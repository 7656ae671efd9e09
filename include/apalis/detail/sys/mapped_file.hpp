// SPDX-License-Identifier: BSL-1.0
#pragma once

// A file without a name, mapped for reading, by the process that made it and by others.
//
//   const auto file = sys::MappedFile::make("/scratch", bytes);
//   const auto theirs = sys::MappedFile::of_process(file->place());   // in a worker

#include <apalis/detail/sys/fd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace apalis::detail::sys {

/// **Owns** the mapping and, where it was made, the open file: its blocks on disk go back when
/// nobody has it open or mapped any more, even if all of them were killed.
/// **Threads:** any. **Fork:** a fork has both too.
/// **Blocks:** make() while the kernel takes the bytes; reading, while it fetches them from disk.
/// **Throws** SystemError. A disk that can't be read later is SIGBUS, as with every mapped file.
class MappedFile {
 public:
  /// Where other processes find it.
  struct Place {
    std::int32_t process = 0;
    std::int32_t fd = -1;
    std::uint64_t size = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
  };

  [[nodiscard]] static std::shared_ptr<const MappedFile> make(const std::string& directory,
                                                              std::span<const std::byte> bytes);
  /// While that process has it.
  [[nodiscard]] static std::shared_ptr<const MappedFile> of_process(const Place& place);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] const Place& place() const noexcept { return place_; }

 private:
  MappedFile(Fd file, std::size_t size);
  void map(const Fd& file);

  Fd file_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Place place_;
};

}  // namespace apalis::detail::sys
