// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/wire/hold.hpp>

namespace apalis::detail::wire {

void Holds::add_another(Hold& hold) {
  if (more_ == nullptr) more_ = std::make_unique<std::vector<Hold*>>();
  // The calls of a batch name the same few things over and over.
  constexpr std::size_t looked_at = 8;
  const auto last = more_->end();
  const auto from = last - static_cast<std::ptrdiff_t>(std::min(more_->size(), looked_at));
  if (std::find(from, last, &hold) != last) return;
  more_->push_back(&hold);
  hold.retain();
}

void Holds::release_all() noexcept {
  const auto more = std::move(more_);
  std::exchange(first_, nullptr)->release();
  if (more != nullptr)
    for (Hold* hold : *more) hold->release();
}

}  // namespace apalis::detail::wire
