// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/engine/pace.hpp>
#include <limits>

namespace apalis::detail::engine {
namespace {

// A batch costs some 10 µs where workers fill the cores; and a parent may wait for its turn there
// for some milliseconds, during which the batch that was sent ahead keeps its worker busy.
constexpr double wanted_nanoseconds = 4e6;
constexpr double longest_ahead = 20e6;  // a batch that waits could be run by another worker
constexpr double ahead_nanoseconds = 3e6;
constexpr double deepest = 4;
constexpr double worth_a_worker = 20e3;  // to wake one costs about as much
// A larger message would go in pieces, and whoever sends it would wait for the worker.
constexpr double most_bytes = 40e3;
constexpr double most_bytes_ahead = 160e3;  // so that the next one always finds room
constexpr std::size_t growth = 8;  // from one size to the next: the first are measured badly

}  // namespace

Pace Pace::of_batches(std::size_t batches, std::size_t length) noexcept {
  Pace pace;
  pace.fixed_ = length / batches;
  pace.longer_ = length % batches;
  if (pace.fixed_ == 0) {
    pace.fixed_ = 1;
    pace.longer_ = 0;
  }
  return pace;
}

Pace Pace::of_size(std::size_t items) noexcept {
  Pace pace;
  pace.fixed_ = items;
  return pace;
}

std::size_t Pace::next(std::optional<std::size_t> left) noexcept {
  if (fixed_ != 0) {
    if (longer_ == 0) return fixed_;
    --longer_;
    return fixed_ + 1;
  }
  if (largest_ == 0) return left ? std::clamp<std::size_t>(*left, 1, first_) : first_;
  double items = wanted_nanoseconds / std::max(cost_, 1.0);
  if (bytes_ > 0) items = std::min(items, most_bytes / bytes_);
  auto size = static_cast<std::size_t>(std::max(items, 1.0));
  size = std::min(size, growth * largest_);
  if (left) {
    const auto workers = useful_workers(left);
    const auto share = workers == 1 ? *left : *left / (2 * workers);
    size = std::min(size, std::max<std::size_t>(share, 1));
  }
  return size;
}

std::size_t Pace::useful_workers(std::optional<std::size_t> left) const noexcept {
  if (fixed_ != 0) return std::numeric_limits<std::size_t>::max();  // it was said how to share
  if (largest_ == 0) return workers_;
  const double items = left ? static_cast<double>(*left) : static_cast<double>(growth * largest_);
  const double work = items * cost_ / worth_a_worker;
  return work < static_cast<double>(workers_) ? 1 + static_cast<std::size_t>(work) : workers_;
}

void Pace::learn(std::size_t items, std::chrono::nanoseconds busy, std::size_t bytes) noexcept {
  if (items == 0) return;
  const auto count = static_cast<double>(items);
  const double cost = static_cast<double>(busy.count()) / count;
  // The first one of each worker meets cold caches; later ones weigh as much as all before.
  cost_ = largest_ <= 1 ? cost : (cost_ + cost) / 2;
  bytes_ = std::max(bytes_ / 2, static_cast<double>(bytes) / count);
  largest_ = std::max(largest_, items);
  last_ = busy;
  const double took = std::max(static_cast<double>(busy.count()), 1.0);
  const double room = most_bytes_ahead / std::max(static_cast<double>(bytes), 1.0);
  const double depth = std::min({1 + ahead_nanoseconds / took, deepest, room});
  depth_ = took > longest_ahead ? 1 : static_cast<std::uint32_t>(std::max(depth, 2.0));
}

}  // namespace apalis::detail::engine
