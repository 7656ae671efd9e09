// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/error.hpp>
#include <apalis/shared_array.hpp>
#include <limits>
#include <string>

namespace apalis::detail {

std::size_t count_elements(std::span<const std::size_t> extents, std::size_t element_bytes) {
  constexpr std::size_t most_bytes = std::numeric_limits<std::ptrdiff_t>::max();
  std::size_t count = 1;
  bool too_many = false;
  for (const std::size_t extent : extents) {
    if (extent == 0) return 0;
    too_many = too_many || extent > most_bytes / element_bytes / count;
    if (!too_many) count *= extent;
  }
  if (!too_many) return count;
  std::string text;
  for (const std::size_t extent : extents)
    text += (text.empty() ? "" : " x ") + std::to_string(extent);
  throw Error(fmt::format(
      "apalis: a SharedArray of {} elements of {} bytes has no room in any memory (a negative "
      "number?)",
      text, element_bytes));
}

void throw_no_array() {
  throw wire::Malformed("malformed message: it names a SharedArray of no known shape");
}

void divide_elements(std::size_t count, std::span<std::size_t> extents) {
  auto left = count;
  for (const std::size_t extent : extents.subspan(1)) {
    if (left == 0) break;
    if (extent == 0 || left % extent != 0) throw_no_array();
    left /= extent;
  }
  extents[0] = left;
}

void throw_outside(std::size_t index, std::size_t size) {
  throw Error(fmt::format("apalis: {} is outside of a SharedArray's {} elements{}", index, size,
                          size == 0 ? " (was it moved from?)" : ""));
}

void throw_other_size(std::size_t size, std::size_t wanted) {
  throw Error(fmt::format("apalis: a SharedArray of {} elements was passed for a span of {}", size,
                          wanted));
}

}  // namespace apalis::detail
