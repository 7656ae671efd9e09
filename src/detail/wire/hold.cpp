// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/wire/hold.hpp>
#include <memory>
#include <vector>

namespace apalis::detail::wire {

struct Holds::More {
  std::vector<Hold*> holds;
};

void Holds::add_another(Hold& hold) {
  if (more_ == nullptr) more_ = new More;
  auto& holds = more_->holds;
  // The calls of a batch name the same few things over and over.
  constexpr std::size_t looked_at = 8;
  const auto last = holds.end();
  const auto from = last - static_cast<std::ptrdiff_t>(std::min(holds.size(), looked_at));
  if (std::find(from, last, &hold) != last) return;
  holds.push_back(&hold);
  hold.retain();
}

std::size_t Holds::count_more() const noexcept {
  return more_ != nullptr ? more_->holds.size() : 0;
}

Hold& Holds::at(std::size_t index) const noexcept {
  return *more_->holds[index];
}

void Holds::release_all() noexcept {
  const std::unique_ptr<More> more(std::exchange(more_, nullptr));
  std::exchange(first_, nullptr)->release();
  if (more != nullptr)
    for (Hold* hold : more->holds) hold->release();
}

}  // namespace apalis::detail::wire
