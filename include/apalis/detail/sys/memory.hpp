// SPDX-License-Identifier: BSL-1.0
#pragma once

// Shared memory: one sparse memfd, mapped once, whose pages are backed before use.
//
//   sys::SharedMemory memory{"apalis", std::size_t{1} << 30};   // no page used yet
//   memory.back(0, 4096);                                       // now this one can't SIGBUS

#include <apalis/detail/sys/fd.hpp>
#include <cstddef>
#include <memory>

namespace apalis::detail::sys {

inline constexpr std::size_t page_size = 4096;  // asserted against the kernel's at first use

/// **Owns** a memfd sealed against resizing and one MAP_SHARED mapping of it all.
/// **Fork:** a child inherits the mapping; its pages are the same memory.
/// **Threads:** the member functions may be called from several threads for distinct ranges.
/// **Throws** SystemError.
class SharedMemory {
 public:
  SharedMemory(const char* name, std::size_t size);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Gives pages to [offset, offset + size): afterwards no access there can fail.
  void back(std::size_t offset, std::size_t size) const;

  /// Whether back_here() can be used, that is whether pages may be backed on demand by either
  /// process. Where not (Linux before 5.14), the owner backs all that it hands out at once.
  [[nodiscard]] bool backs_on_demand() const noexcept { return on_demand_; }

 private:
  struct Mapping;  // Boost.Interprocess's mapped_region, kept out of the header
  Fd fd_;
  std::unique_ptr<Mapping> mapping_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool on_demand_ = false;
};

/// Gives pages to a range of any shared mapping, page aligned. Returns 0 or an errno.
/// Async-signal-safe.
[[nodiscard]] int back_here(void* start, std::size_t size) noexcept;

/// The same, and throws what it fails with. Where pages can't be given on demand (Linux before
/// 5.14), the range has them already, as SharedMemory::backs_on_demand() asks of its owner.
void require_pages(void* start, std::size_t size);

/// Returns the memory of a range to the kernel; it reads as zero afterwards. False: not supported,
/// the range keeps its pages and its bytes.
bool discard(void* start, std::size_t size) noexcept;

/// Makes a range inaccessible in this process. False: the kernel refused (it then stays visible).
bool hide(void* start, std::size_t size) noexcept;

/// Makes a hidden range accessible again.
[[nodiscard]] bool show(void* start, std::size_t size) noexcept;

/// Asks for huge pages where that saves many page faults: memory that is about to be written. A hint.
void prefer_huge_pages(void* start, std::size_t size) noexcept;

}  // namespace apalis::detail::sys
