// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which calls were run, how often and in which order: kept where the death of a worker can't
// change it.

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <vector>

namespace stress {

/// **Owns** memory that it shares with every process forked from now on.
class ExecutionBook {
 public:
  static constexpr int most_ids = 1024;

  ExecutionBook() {
    void* memory =
        ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    page_ = ::new (memory) Page;
  }
  ~ExecutionBook() { ::munmap(static_cast<void*>(page_), sizeof(Page)); }
  ExecutionBook(const ExecutionBook&) = delete;
  ExecutionBook& operator=(const ExecutionBook&) = delete;

  /// In a worker, first thing in each call.
  void record(int id) const {
    ++page_->counts.at(static_cast<std::size_t>(id));
    page_->order.at(page_->entries++) = id + 1;
  }

  [[nodiscard]] int count(int id) const { return page_->counts.at(static_cast<std::size_t>(id)); }

  /// The calls in the order in which they were run; a worker may have died before it wrote one down.
  [[nodiscard]] std::vector<int> order() const {
    std::vector<int> ids;
    for (std::size_t i = 0; i < page_->entries; ++i)
      if (const int id = page_->order.at(i); id != 0) ids.push_back(id - 1);
    return ids;
  }

  /// Once there is no worker.
  void clear() { page_ = ::new (static_cast<void*>(page_)) Page; }

 private:
  struct Page {
    std::array<std::atomic<int>, most_ids> counts{};
    std::atomic<std::size_t> entries{0};
    std::array<std::atomic<int>, std::size_t{8} * most_ids> order{};
  };
  Page* page_;
};

}  // namespace stress
