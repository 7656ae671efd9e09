// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/cpu_count.hpp>
#include <apalis/error.hpp>
#include <apalis/ranges.hpp>
#include <string>

namespace apalis {
namespace {

using detail::Count;

std::size_t checked(const Count& count, const char* what) {
  if (count.is_negative())
    throw Error(std::string("apalis: ranges() was given a negative ") + what);
  return count.value();
}

std::size_t checked_workers(const std::optional<Count>& workers) {
  if (!workers) return static_cast<std::size_t>(cpu_count());
  const auto number = checked(*workers, "number of workers");
  if (number == 0)
    throw Error("apalis: ranges() was given no workers; leave `workers` out for one a core");
  return number;
}

}  // namespace

std::vector<std::pair<std::size_t, std::size_t>> ranges(detail::Count count,
                                                        const RangesOptions& options) {
  const auto end = checked(count, "size");
  const auto shortest = checked(options.min_range_size, "min_range_size");
  const auto workers = checked_workers(options.workers);
  const auto size = std::max(end / workers + (end % workers != 0 ? 1 : 0), shortest);
  std::vector<std::pair<std::size_t, std::size_t>> result;
  if (end == 0) return result;
  result.reserve(end / size + 1);
  for (std::size_t first = 0; first < end;) {
    const auto last = first + std::min(size, end - first);
    result.emplace_back(first, last);
    first = last;
  }
  return result;
}

}  // namespace apalis
