// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/wire/objects.hpp>
#include <exception>
#include <vector>

namespace apalis::detail::wire {

struct Broken::List {
  struct Entry {
    std::uint32_t index;
    std::exception_ptr why;
  };
  std::vector<Entry> entries;

  [[nodiscard]] const Entry* find(std::uint32_t index) const noexcept {
    const auto at = std::ranges::lower_bound(entries, index, {}, &Entry::index);
    return at != entries.end() && at->index == index ? &*at : nullptr;
  }
};

void Broken::clear() noexcept { delete list_; }

void Broken::note_current(std::uint32_t index) {
  if (list_ == nullptr) list_ = new List;
  some_ = true;
  list_->entries.push_back({index, std::current_exception()});
}

bool Broken::find(std::uint32_t index) const noexcept { return list_->find(index) != nullptr; }

void Broken::rethrow(std::uint32_t index) const {
  if (const auto* entry = list_->find(index)) std::rethrow_exception(entry->why);
}

}  // namespace apalis::detail::wire
